#include "keepctl/cluster/server_group.hpp"

#include "base/run_on_loop.hpp"
#include "base/text.hpp"
#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/put_bodies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// \returns whether a copy was in the trash.
awaitable<result<bool>> untrash_on(const keep_server& server, md5_digest block, deadline until) {
    KS_CO_TRY(const auto response,
              co_await server.request("PUT", "untrash/" + block.hex(), server.access().token, until));
    if (response.status != 200 && response.status != 404)
        co_return std::unexpected(server.refused(response, "untrash"));
    co_return response.status == 200;
}

}  // namespace

// Sorted, which is for free here: the tool's own loop finds nothing left to do.
awaitable<result<void>> server_group::gather(std::vector<std::vector<entry>> from, std::vector<entry>& into) {
    merge_listings(from, into);
    co_return success();
}

server_group::server_group(std::string name, std::vector<keep_server> servers, options given, listing_loops& loops)
    : name_(std::move(name)), servers_(std::move(servers)), options_(std::move(given)), loops_(loops) {
    for (const auto& server : servers_) names_.push_back(server.url());
    const std::string_view list = options_.by_class ? std::string_view(options_.classes) : std::string_view();
    for (std::size_t at = 0; at <= list.size();) {
        const auto end = std::min(list.find(',', at), list.size());
        classes_.emplace_back(trim(list.substr(at, end - at)));
        at = end + 1;
    }
}

awaitable<result<void>> server_group::connect(deadline until) {
    KS_CO_TRY(const auto found,
              co_await all_at_once(servers_.size(), [&](std::size_t i) { return servers_[i].mounts(until); }));
    mounts_.clear();
    mounted_by_.clear();
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        if (!found[i]) co_return std::unexpected(found[i].error());
        for (const auto& m : found[i]->mounts) {
            if (!options_.mount_uuid.empty() && m.uuid != options_.mount_uuid) continue;
            // One UUID for two devices is a mistake of the configuration: both have blocks.
            const auto known = std::ranges::find_if(mounts_, [&](const mount_info& other) {
                return other.uuid == m.uuid && other.device_id == m.device_id;
            });
            if (known == mounts_.end()) {
                mounts_.push_back(m);
                mounted_by_.push_back(i);
            } else if (m.allow_write && !known->allow_write) {
                mounted_by_[static_cast<std::size_t>(known - mounts_.begin())] = i;
                *known = m;
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
    find_devices(found);
    co_return success();
}

void server_group::find_devices(const std::vector<result<mounts_response>>& found) {
    devices_.clear();
    device_of_.clear();
    writable_.assign(servers_.size(), {});
    for (const auto& mount : mounts_) device_of_.push_back(device_number(mount));
    for (std::size_t s = 0; s < servers_.size(); ++s) {
        for (const auto& mount : found[s]->mounts) {
            if (!mount.allow_write) continue;
            const auto number = device_number(mount);
            const bool counts =
                std::ranges::find(devices_[number].counts_for, true) != devices_[number].counts_for.end();
            if (counts && std::ranges::find(writable_[s], number) == writable_[s].end()) writable_[s].push_back(number);
        }
    }
}

// The device of a mount, with what this mount says of it.
std::size_t server_group::device_number(const mount_info& mount) {
    const std::string id = mount.device_id.empty() ? "mount " + mount.uuid : mount.device_id;
    auto known = std::ranges::find(devices_, id, &device::id);
    if (known == devices_.end()) {
        devices_.push_back({.id = id, .counts_for = std::vector<bool>(classes_.size())});
        known = devices_.end() - 1;
    }
    known->replication = std::max(known->replication, mount.replication);
    for (std::size_t i = 0; i < classes_.size(); ++i) {
        const auto offered = mount.classes.find(classes_[i]);
        const bool offers = classes_[i].empty() || (offered != mount.classes.end() && offered->second) ||
                            (mount.classes.empty() && classes_[i] == "default");
        if (offers) known->counts_for[i] = true;
    }
    return static_cast<std::size_t>(known - devices_.begin());
}

std::int64_t server_group::replicas_of(std::span<const entry> good, std::size_t number_of_class) const {
    std::int64_t out = 0;
    for (auto e = good.begin(); e != good.end(); ++e) {
        const auto number = device_of_[e->mount];
        const bool seen =
            std::any_of(good.begin(), e, [&](const entry& other) { return device_of_[other.mount] == number; });
        if (!seen && devices_[number].counts_for[number_of_class]) out += devices_[number].replication;
    }
    return out;
}

std::int64_t server_group::replicas_possible() const noexcept {
    std::int64_t by_devices = 0;
    for (const auto& d : devices_) by_devices += d.replication;
    std::int64_t by_servers = 0;
    for (const auto& of_server : writable_) {
        std::int64_t most = 0;
        for (const auto number : of_server) most = std::max(most, devices_[number].replication);
        by_servers += most;
    }
    return std::min(by_devices, by_servers);
}

store_plan server_group::plan(const md5_digest& block, std::span<const entry> good) const {
    store_plan out;
    for (std::size_t i = 0; i < classes_.size(); ++i)
        out.missing = std::max(out.missing, options_.copies - replicas_of(good, i));
    if (out.missing <= 0) return {};
    std::vector<bool> taken(devices_.size());
    for (const auto& e : good) taken[device_of_[e.mount]] = devices_[device_of_[e.mount]].counts_for[0];
    for (const auto server : sources(block)) {
        const auto& own = writable_[server];
        // A server that has a copy would only touch it; and one device seen through two servers holds one copy.
        if (own.empty() || std::ranges::any_of(own, [&](std::size_t number) { return taken[number]; })) continue;
        store_target target{.server = server};
        for (const auto number : own) target.replicas_max = std::max(target.replicas_max, devices_[number].replication);
        out.servers.push_back(target);
        if (own.size() == 1) taken[own.front()] = true;
    }
    return out;
}

awaitable<result<void>> server_group::check(deadline until) const {
    KS_CO_TRY(const auto found,
              co_await all_at_once(servers_.size(), [&](std::size_t i) { return servers_[i].mounts(until); }));
    for (const auto& of_server : found) KS_CO_CHECK(of_server);
    co_return success();
}

awaitable<std::vector<server_traits>> server_group::traits(deadline until) const {
    // Metrics are only for those who have the management token.
    const auto& token = servers_.front().access().management_token;
    if (token.empty()) co_return std::vector<server_traits>();
    const auto metrics = co_await all_at_once(
        servers_.size(), [&](std::size_t i) { return servers_[i].request("GET", "metrics", token, until); });
    std::vector<server_traits> out;
    for (std::size_t i = 0; metrics && i < servers_.size(); ++i) {
        const auto& response = (*metrics)[i];
        if (response && response->status == 200) out.push_back(traits_of(servers_[i].url(), response->body));
    }
    co_return out;
}

awaitable<result<void>> server_group::list(std::string prefix, std::vector<entry>& out, listing_notes& notes,
                                           deadline until) {
    std::vector<listing_notes> left_out(mounts_.size());
    std::vector<std::vector<entry>> listed(mounts_.size());
    for (auto& of_mount : listed) of_mount.reserve(listed_most_);
    const auto list_one = [&](std::size_t i) {
        return servers_[mounted_by_[i]].index(mounts_[i].uuid, prefix, static_cast<std::uint16_t>(i), listed[i], until,
                                              &left_out[i]);
    };
    KS_CO_TRY(const auto ends, co_await all_at_once(mounts_.size(), list_one));
    listed_most_ = 0;
    for (std::size_t i = 0; i < ends.size(); ++i) {
        KS_CO_CHECK(ends[i]);
        notes += left_out[i];
        listed_most_ = std::max(listed_most_, listed[i].size());
    }
    co_return co_await run_on_loop(loops_.next(), gather(std::move(listed), out));
}

std::vector<std::uint16_t> server_group::sources(const md5_digest& block) const {
    std::vector<std::uint16_t> out;
    for (const auto number : probe_order(block, servers_)) out.push_back(static_cast<std::uint16_t>(number));
    return out;
}

awaitable<result<std::unique_ptr<protocol::block_source>>> server_group::open(block_id block, std::size_t server,
                                                                              deadline until) {
    // Without a size in the locator a GET of an empty block is the only one that servers take.
    KS_CO_TRY(auto incoming, co_await servers_.at(server).get(block.name, block.size, until));
    co_return std::make_unique<protocol::incoming_source>(
        std::move(incoming), protocol::min_throughput(limits::transfer_rate_bytes_min, limits::transfer_rate_window));
}

awaitable<result<void>> server_group::verify(block_id block, std::size_t server, deadline until) {
    const auto& asked = servers_.at(server);
    KS_CO_TRY(const auto size, co_await asked.head(block.name, block.size, until));
    if (size == block.size) co_return success();
    co_return fail(errc::checksum_mismatch, fmt::format("{}: its copy has {} bytes", asked.url(), size));
}

awaitable<result<bool>> server_group::untrash(md5_digest block, deadline until) {
    const auto untrash_one = [&](std::size_t i) { return untrash_on(servers_[i], block, until); };
    KS_CO_TRY(const auto ends, co_await all_at_once(servers_.size(), untrash_one));
    if (std::ranges::any_of(ends, [](const result<bool>& back) { return back.value_or(false); })) co_return true;
    for (const auto& end : ends) KS_CO_CHECK(end);
    co_return false;
}

awaitable<result<std::int64_t>> server_group::store(block_id block, std::size_t server, protocol::block_stream& bytes,
                                                    deadline until) {
    stream_body body(bytes, until);
    KS_CO_TRY(const auto stored, co_await servers_.at(server).put(block.name, body, options_.classes, until));
    co_return stored.replicas;
}

}  // namespace keepstore::keepctl
