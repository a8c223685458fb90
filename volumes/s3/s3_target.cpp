#include "volumes/cloud/upload_target.hpp"
#include "volumes/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace keepstore::volumes::s3 {
namespace {

/// Writes one block to a bucket: the block, then its marker.
class s3_target final : public cloud::upload_target {
  public:
    s3_target(std::shared_ptr<s3_core> core, md5_digest name) : core_(std::move(core)), name_(name) {}

    /// Compares the block with a stored one where the service knows conditional writes (s3_core::compares).
    [[nodiscard]] awaitable<result<void>> store(std::vector<const_slice> slices, protocol::name_values metadata,
                                                deadline until) override {
        const auto size = protocol::upload_body{.slices = slices}.size();
        KS_CO_CHECK(co_await store_block(std::move(slices), until));
        core_->downloads.forget(name_);
        KS_CO_CHECK(co_await publish(metadata, until));
        const bool learns = size <= limits::write_at_once_bytes_max && !core_->options.any_content;
        if (learns && core_->conditional == conditional_put::unknown) {
            KS_CO_CHECK(co_await core_->learn_conditional_put(name_, std::move(metadata), until));
        }
        co_return success();
    }

    [[nodiscard]] awaitable<result<void>> store_stream(net::body_source& source, deadline until) override {
        return core_->put_block(name_, {.slices = {}, .source = &source}, false, until);
    }

    // The marker last: a marker without its block would look like a block that was lost.
    [[nodiscard]] awaitable<result<void>> publish(protocol::name_values metadata, deadline until) override {
        return core_->mark_recent(name_, std::move(metadata), until);
    }

  private:
    [[nodiscard]] awaitable<result<void>> store_block(std::vector<const_slice> slices, deadline until) {
        const auto size = protocol::upload_body{.slices = slices}.size();
        if (core_->compares(size)) co_return co_await core_->put_block_or_compare(name_, std::move(slices), until);
        co_return co_await core_->put_block(name_, {.slices = std::move(slices)}, false, until);
    }

    const std::shared_ptr<s3_core> core_;
    const md5_digest name_;
};

}  // namespace

std::unique_ptr<cloud::upload_target> s3_core::make_target(const md5_digest& name) {
    return std::make_unique<s3_target>(shared_from_this(), name);
}

}  // namespace keepstore::volumes::s3
