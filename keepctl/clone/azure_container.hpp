/// A container of Azure as one side of a clone. A blob has its own time and attributes, so there are no markers; what
/// is in the trash, or being written by the Go daemon, is left out (volumes/azure/blob_state.hpp).
#pragma once

#include "azure/client.hpp"
#include "keepctl/clone/clone_bucket.hpp"
#include "volumes/azure/azure_volume.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace keepstore::keepctl {

class azure_container final : public clone_bucket {
  public:
    azure_container(description of, azure::client client, std::chrono::milliseconds write_race_interval)
        : clone_bucket(std::move(of)), client_(std::move(client)), write_race_interval_(write_race_interval) {}

    [[nodiscard]] awaitable<result<cloud::list_page>> list(s3::list_options where, deadline until) const override;
    [[nodiscard]] awaitable<result<cloud::object_download>> get(object_kind kind, md5_digest name,
                                                                deadline until) const override;
    [[nodiscard]] awaitable<result<std::string>> validator_of(object_kind kind, md5_digest name,
                                                              deadline until) const override;
    [[nodiscard]] awaitable<result<stored_object>> put(object_kind kind, md5_digest name, cloud::upload_body body,
                                                       deadline until) const override;
    [[nodiscard]] awaitable<result<stored_object>> copy(const clone_bucket& from, object_kind kind, md5_digest name,
                                                        std::string if_match, deadline until) const override;
    [[nodiscard]] awaitable<result<std::optional<std::string>>> waypoints_of(md5_digest name,
                                                                             deadline until) const override;
    /// Waypoints are added to the blob that put() has stored. They only speed up reads: where another request changes
    /// the blob at the same time it goes without.
    [[nodiscard]] awaitable<result<void>> mark(md5_digest name, std::optional<std::string> waypoints, std::string etag,
                                               deadline until) const override;
    [[nodiscard]] const cloud::op_stats& stats() const noexcept override { return client_.stats(); }

  private:
    /// The blob of a block that is not in the trash.
    [[nodiscard]] awaitable<result<cloud::object_info>> look_at(md5_digest name, deadline until) const;

    const azure::client client_;
    const std::chrono::milliseconds write_race_interval_;
};

/// Does not contact it. \returns errc::bad_request, in plain words, for options that cannot work.
[[nodiscard]] result<std::unique_ptr<clone_bucket>> open_azure_container(std::string text,
                                                                         const volumes::azure_options& options);

}  // namespace keepstore::keepctl
