#include "volumes/azure/block_list.hpp"

#include "volumes/cloud/part_source.hpp"

#include <fmt/format.h>

#include <random>
#include <utility>

namespace keepstore::volumes::azure {
namespace {

std::string random_prefix() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

block_list::block_list(std::shared_ptr<azure_core> core, md5_digest name)
    : core_(std::move(core)), name_(name), prefix_(random_prefix()) {}

// All ids of a blob are equally long.
std::string block_list::id_of(std::size_t index) const {
    return fmt::format("{}-{:06}", prefix_, index);
}

awaitable<result<void>> block_list::create(deadline) {
    exists_ = true;
    co_return success();
}

std::size_t block_list::add_part() {
    const std::lock_guard lock(mutex_);
    return parts_++;
}

awaitable<result<void>> block_list::send(std::size_t index, const_slice part, deadline until) {
    const auto self = shared_from_this();
    const auto md5 = co_await cloud::md5_in_steps(part.bytes);
    const cloud::circuit_breaker::pending_call pending(*core_->breaker);
    cloud::part_source source(part, *core_->breaker);
    auto sent = co_await core_->client.put_block(name_.hex(), id_of(index), {.source = &source}, md5, until);
    const std::lock_guard lock(mutex_);
    if (sent || !std::exchange(failure_noted_, true)) core_->breaker->note(sent);
    co_return sent;
}

awaitable<result<void>> block_list::complete(protocol::name_values metadata, deadline until) {
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

awaitable<result<void>> block_list::abort() {
    exists_ = false;
    co_return success();
}

}  // namespace keepstore::volumes::azure
