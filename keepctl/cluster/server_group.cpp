#include "keepctl/cluster/server_group.hpp"

#include "base/when_all.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// A proven stream as the body of a PUT.
class stream_body final : public net::body_source {
  public:
    stream_body(protocol::proven_stream& bytes, deadline until) : bytes_(bytes), until_(until) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
    [[nodiscard]] awaitable<result<const_slice>> next() override { return bytes_.next(until_); }
    [[nodiscard]] bool rewind() override { return false; }

  private:
    protocol::proven_stream& bytes_;
    const deadline until_;
};

}  // namespace

struct server_group::outcome {
    result<void> value = success();
};

server_group::server_group(std::string name, std::vector<keep_server> servers, options given)
    : name_(std::move(name)), servers_(std::move(servers)), options_(std::move(given)) {}

awaitable<void> server_group::connect_one(std::size_t number, std::vector<mount_info>& out, outcome& end,
                                          deadline until) const {
    auto found = co_await servers_[number].mounts(until);
    if (found)
        out = std::move(*found);
    else
        end.value = std::unexpected(std::move(found.error()));
}

awaitable<result<void>> server_group::connect(deadline until) {
    std::vector<std::vector<mount_info>> found(servers_.size());
    std::vector<outcome> ends(servers_.size());
    std::vector<awaitable<void>> calls;
    for (std::size_t i = 0; i < servers_.size(); ++i) calls.push_back(connect_one(i, found[i], ends[i], until));
    if (co_await when_all(std::move(calls))) co_return fail(errc::cancelled);
    mounts_.clear();
    mounted_by_.clear();
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        if (!ends[i].value) co_return std::unexpected(std::move(ends[i].value.error()));
        for (auto& m : found[i]) {
            if (!options_.mount_uuid.empty() && m.uuid != options_.mount_uuid) continue;
            // One UUID for two devices is a mistake of the configuration: both have blocks.
            const auto known = std::ranges::find_if(mounts_, [&](const mount_info& other) {
                return other.uuid == m.uuid && other.device_id == m.device_id;
            });
            if (known == mounts_.end()) {
                mounts_.push_back(std::move(m));
                mounted_by_.push_back(i);
            } else if (m.allow_write && !known->allow_write) {
                mounted_by_[static_cast<std::size_t>(known - mounts_.begin())] = i;
                *known = std::move(m);
            }
        }
    }
    if (mounts_.empty()) {
        co_return fail(errc::bad_request, options_.mount_uuid.empty()
                                              ? name_ + " has no mounts"
                                              : fmt::format("{}: there is no mount {}", name_, options_.mount_uuid));
    }
    if (mounts_.size() > std::numeric_limits<std::uint16_t>::max())
        co_return fail(errc::bad_request, name_ + " has too many mounts");
    co_return success();
}

awaitable<void> server_group::list_one(std::size_t number, std::string prefix, std::vector<entry>& out, outcome& end,
                                       listing_notes& notes, deadline until) const {
    for (std::size_t m = 0; m < mounts_.size() && end.value; ++m) {
        if (mounted_by_[m] == number)
            end.value = co_await servers_[number].index(mounts_[m].uuid, prefix, static_cast<std::uint16_t>(m), out,
                                                        until, &notes);
    }
}

awaitable<result<void>> server_group::list(std::string prefix, std::vector<entry>& out, listing_notes& notes,
                                           deadline until) {
    // All append to one vector: each does so between two suspensions.
    std::vector<outcome> ends(servers_.size());
    std::vector<awaitable<void>> calls;
    for (std::size_t i = 0; i < servers_.size(); ++i) calls.push_back(list_one(i, prefix, out, ends[i], notes, until));
    if (co_await when_all(std::move(calls))) co_return fail(errc::cancelled);
    for (auto& end : ends) KS_CO_CHECK(std::move(end.value));
    co_return success();
}

awaitable<result<std::unique_ptr<protocol::block_source>>> server_group::open(block_id block, std::size_t number,
                                                                              deadline until) {
    const auto order = probe_order(block.name, servers_);
    // Without a size in the locator a GET of an empty block is the only one that servers take.
    KS_CO_TRY(auto incoming, co_await servers_[order.at(number)].get(block.name, block.size, until));
    co_return std::make_unique<protocol::incoming_source>(
        std::move(incoming), protocol::min_throughput(limits::transfer_rate_bytes_min, limits::transfer_rate_window));
}

awaitable<result<void>> server_group::verify(block_id block, std::size_t number, deadline until) {
    const auto order = probe_order(block.name, servers_);
    const auto& server = servers_[order.at(number)];
    KS_CO_TRY(const auto size, co_await server.head(block.name, block.size, until));
    if (size == block.size) co_return success();
    co_return fail(errc::checksum_mismatch, fmt::format("{}: its copy has {} bytes", server.url(), size));
}

awaitable<result<void>> server_group::store(block_id block, std::size_t number, protocol::proven_stream& bytes,
                                            deadline until) {
    const auto order = probe_order(block.name, servers_);
    stream_body body(bytes, until);
    KS_CO_CHECK(co_await servers_[order.at(number)].put(block.name, body, options_.classes, until));
    co_return success();
}

}  // namespace keepstore::keepctl
