/// A repository in a bucket, s3://bucket/prefix. Swaps are conditional PUTs (If-Match, If-None-Match), which are tried
/// out before they are relied on: some services ignore conditions, and some know the ETag in quotes, others bare.
///
/// Objects over limits::part_threshold_bytes go up in parts from one buffer that is used again; the upload is aborted
/// after any error and when the call is cancelled. All bytes are proven by Content-MD5.
#pragma once

#include "keepctl/snapshot/object_store.hpp"
#include "s3/client.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

class bucket_store final : public object_store {
  public:
    struct options {
        std::string name;    ///< As the command line names it.
        std::string prefix;  ///< Empty, or ends with a slash.
        /// Nothing else writes: latest.json is read again and then replaced without a condition.
        bool single_writer = false;
        std::function<void(std::string_view)> warn = {};
    };
    bucket_store(s3::client client, options given) : client_(std::move(client)), options_(std::move(given)) {}

    [[nodiscard]] const std::string& name() const noexcept override { return options_.name; }
    [[nodiscard]] awaitable<result<void>> prove_swap(deadline until) override;
    [[nodiscard]] awaitable<result<stored_text>> read(std::string key, std::size_t limit, deadline until) override;
    [[nodiscard]] awaitable<result<void>> read_into(std::string key, std::shared_ptr<inventory_buffer> into,
                                                    deadline until) override;
    [[nodiscard]] awaitable<result<void>> write(std::string key, std::shared_ptr<const object_bytes> bytes,
                                                deadline until) override;
    [[nodiscard]] awaitable<result<swap_end>> swap(std::string key, std::string text,
                                                   std::optional<std::string> version, deadline until) override;
    [[nodiscard]] awaitable<result<std::vector<stored_object>>> list(std::string prefix, deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove(std::string key, deadline until) override;
    [[nodiscard]] awaitable<result<std::chrono::sys_seconds>> now(deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove_unfinished(std::chrono::sys_seconds before, deadline until) override;

  private:
    [[nodiscard]] std::string full(const std::string& key) const { return options_.prefix + key; }
    [[nodiscard]] awaitable<result<void>> write_parts(std::string key, const object_bytes& bytes, deadline until);
    [[nodiscard]] awaitable<result<std::vector<std::string>>> send_parts(const std::string& key, const std::string& id,
                                                                         const object_bytes& bytes, deadline until);
    [[nodiscard]] awaitable<result<s3::put_result>> put_text(std::string key, std::string text, s3::put_options how,
                                                             deadline until);
    [[nodiscard]] awaitable<result<void>> prove_with(std::string key, deadline until);

    s3::client client_;
    const options options_;
    /// How the service takes ETags in If-Match; found out by prove_swap().
    s3::put_options::etag_form etag_form_ = s3::put_options::etag_form::quoted;
    mutable_slice part_;  // Of an upload; made when the first one begins.
};

}  // namespace keepstore::keepctl
