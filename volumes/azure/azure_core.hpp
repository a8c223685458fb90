/// What the operations of an Azure volume consist of, in addition to the state that all cloud volumes have
/// (volumes/cloud/volume_core.hpp). Coroutines here run on the volume's loops.
#pragma once

#include "azure/client.hpp"
#include "volumes/azure/azure_volume.hpp"
#include "volumes/azure/blob_state.hpp"
#include "volumes/cloud/volume_core.hpp"
#include "volumes/limits.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace keepstore::volumes::azure {

namespace service = keepstore::azure;

class azure_core final : public cloud::volume_core, public std::enable_shared_from_this<azure_core> {
  public:
    azure_core(azure_options o, service::client c);
    ~azure_core() override { loops.stop(); }

    const azure_options options;
    const service::client client;

    [[nodiscard]] std::shared_ptr<cloud::object_source> make_source(cloud::download_target what) override;
    [[nodiscard]] std::unique_ptr<cloud::upload_target> make_target(const md5_digest& name) override;
    [[nodiscard]] std::shared_ptr<cloud::part_session> make_session(const md5_digest& name) override;
    [[nodiscard]] awaitable<result<bool>> needs_pages(std::string digits, deadline until) override;
    [[nodiscard]] awaitable<result<void>> list_range(cloud::parallel_listing& into, std::string digits) override;

    // lifecycle.cpp, trash_sweep.cpp: by the rules of the Go daemon (docs/interface.md 4.8), and on condition that the
    // blob is what it was when it was looked at (If-Match): two requests, and two more where another request changed
    // the blob in between.

    [[nodiscard]] awaitable<result<void>> touch(md5_digest name, deadline until) override;
    [[nodiscard]] awaitable<result<block_time>> mtime(md5_digest name, deadline until) override;
    [[nodiscard]] awaitable<result<trash_outcome>> trash(md5_digest name, trash_options how, deadline until) override;
    [[nodiscard]] awaitable<result<void>> untrash(md5_digest name, deadline until) override;
    /// A blob that was untrashed or written since it was listed stays.
    [[nodiscard]] awaitable<result<empty_trash_stats>> empty_trash(unsigned workers, deadline until) override;

    [[nodiscard]] const protocol::op_stats& client_stats() const override { return client.stats(); }
    /// Small blocks are put on the condition that there is no blob, which saves looking for it.
    [[nodiscard]] bool compares(std::uint64_t size) const override {
        return size <= limits::write_at_once_bytes_max && !options.any_content;
    }
    [[nodiscard]] std::chrono::seconds clock_skew() const override { return client.clock_skew(); }

    // One call each, reported to the circuit breaker.

    [[nodiscard]] awaitable<result<protocol::object_info>> head(md5_digest name, deadline until);
    [[nodiscard]] awaitable<result<service::put_result>> put(md5_digest name, protocol::upload_body body,
                                                             service::put_options how, deadline until);
    /// Replaces the metadata of the blob with this ETag. error_kind::precondition if it was changed since.
    [[nodiscard]] awaitable<result<void>> set_metadata(md5_digest name, protocol::name_values metadata,
                                                       std::string etag, deadline until);
    /// Deletes the blob with this ETag. error_kind::precondition if it was changed since; errc::not_found.
    [[nodiscard]] awaitable<result<void>> del(md5_digest name, std::string etag, deadline until);
    [[nodiscard]] awaitable<result<protocol::list_page>> list(protocol::list_options where, deadline until) override;

    /// Whether a blob without content is one that another program is just writing.
    [[nodiscard]] bool is_being_written(const md5_digest& name, std::uint64_t size, sys_seconds modified) const;
    /// This second, by the service's clock.
    [[nodiscard]] std::int64_t this_second() const;
};

}  // namespace keepstore::volumes::azure
