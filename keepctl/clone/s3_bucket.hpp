/// A bucket of S3 as one side of a clone.
#pragma once

#include "keepctl/clone/clone_bucket.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <memory>
#include <string>
#include <utility>

namespace keepstore::keepctl {

class s3_bucket final : public clone_bucket {
  public:
    s3_bucket(description of, s3::client client) : clone_bucket(std::move(of)), client_(std::move(client)) {}

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
    [[nodiscard]] awaitable<result<void>> mark(md5_digest name, std::optional<std::string> waypoints, std::string etag,
                                               deadline until) const override;
    [[nodiscard]] const cloud::op_stats& stats() const noexcept override { return client_.stats(); }

  private:
    const s3::client client_;
};

/// Does not contact it. \returns errc::bad_request, in plain words, for options that cannot work.
[[nodiscard]] result<std::unique_ptr<clone_bucket>> open_s3_bucket(std::string text,
                                                                   const volumes::s3_options& options);

/// The client of a bucket. \returns as above.
[[nodiscard]] result<s3::client> make_bucket_client(const volumes::s3_options& options);

}  // namespace keepstore::keepctl
