#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/part_source.hpp"
#include "volumes/cloud/upload_target.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::volumes::azure {
namespace {

std::string random_prefix() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
}

/// A block that is sent in parts: uncommitted blocks of a blob (Put Block), which Put Block List makes its content.
/// Each carries its MD5 for the service to check. There is nothing to abort: the service drops uncommitted blocks after
/// a week, or when the blob is written.
class block_list final : public cloud::part_session, public std::enable_shared_from_this<block_list> {
  public:
    block_list(std::shared_ptr<azure_core> core, md5_digest name)
        : core_(std::move(core)), name_(name), prefix_(random_prefix()) {}

    /// Sends nothing.
    [[nodiscard]] awaitable<result<void>> create(deadline) override {
        exists_ = true;
        co_return success();
    }

    [[nodiscard]] bool exists() const override { return exists_; }

    [[nodiscard]] std::size_t add_part() override {
        const std::lock_guard lock(mutex_);
        return parts_++;
    }

    [[nodiscard]] awaitable<result<void>> send(std::size_t index, const_slice part, deadline until) override {
        const auto self = shared_from_this();
        const auto md5 = co_await cloud::md5_in_steps(part.bytes);
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        cloud::part_source source(part, *core_->breaker);
        auto sent = co_await core_->client.put_block(name_.hex(), id_of(index), {.source = &source}, md5, until);
        const std::lock_guard lock(mutex_);
        if (sent || !std::exchange(failure_noted_, true)) core_->breaker->note(sent);
        co_return sent;
    }

    [[nodiscard]] awaitable<result<void>> complete(protocol::name_values metadata, deadline until) override {
        const auto self = shared_from_this();
        std::vector<std::string> ids;
        {
            const std::lock_guard lock(mutex_);
            for (std::size_t i = 0; i < parts_; ++i) ids.push_back(id_of(i));
        }
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        service::put_options how{.metadata = std::move(metadata)};
        if (!core_->options.any_content) how.md5 = name_;
        KS_CO_CHECK(
            core_->noted(co_await core_->client.put_block_list(name_.hex(), std::move(ids), std::move(how), until)));
        exists_ = false;
        co_return success();
    }

    [[nodiscard]] awaitable<result<void>> abort() override {
        exists_ = false;
        co_return success();
    }

  private:
    // All ids of a blob are equally long.
    [[nodiscard]] std::string id_of(std::size_t index) const { return fmt::format("{}-{:06}", prefix_, index); }

    const std::shared_ptr<azure_core> core_;
    const md5_digest name_;
    /// Of this upload alone, so that concurrent ones of one block do not take each other's parts.
    const std::string prefix_;
    std::atomic<bool> exists_{false};

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::size_t parts_ = 0;
    bool failure_noted_ = false;  ///< For the circuit breaker: parts that fail together are one failure.
};

}  // namespace

std::shared_ptr<cloud::part_session> azure_core::make_session(const md5_digest& name) {
    return std::make_shared<block_list>(shared_from_this(), name);
}

}  // namespace keepstore::volumes::azure
