#include "keepctl/snapshot/shrink_check.hpp"

#include "keepctl/cluster/shards.hpp"
#include "keepctl/snapshot/inventory_cursor.hpp"
#include "keepctl/snapshot/limits.hpp"

#include <algorithm>
#include <cmath>

namespace keepstore::keepctl {
namespace {

/// Blocks that come and go change counts by about the root of them; five times as much is no chance.
bool is_significant(std::uint64_t before, std::uint64_t now) {
    return static_cast<double>(before - now) > 5 * std::sqrt(static_cast<double>(before + now));
}

}  // namespace

shrink_check::shrink_check(const snapshot_document& last, const std::vector<snapshot_mount>& now) {
    for (const auto& m : last.mounts) before_uuids_.push_back(m.uuid);
    for (const auto& m : now) now_uuids_.push_back(m.uuid);
    // Evenly over all shards, and at least the first.
    const auto shards = last.objects.size();
    const auto in_each = std::max<std::uint64_t>(1, last.totals.replicas / std::max<std::size_t>(1, shards));
    const auto count = std::clamp<std::uint64_t>(limits::shrink_sample_entries / in_each, 1, shards);
    for (std::uint64_t i = 0; i < count; ++i) {
        sample_.push_back(static_cast<std::size_t>(i * shards / count));
        prefixes_.push_back(shard_prefix(last.digits, sample_.back()));
    }
}

void shrink_check::add_before(std::span<const entry> entries) {
    std::vector<std::uint64_t> by_number(before_uuids_.size());
    for (const auto& e : entries) ++by_number[e.mount];
    for (std::size_t i = 0; i < by_number.size(); ++i) by_mount_[before_uuids_[i]].before += by_number[i];
}

void shrink_check::add_now(std::span<const entry> sorted) {
    std::vector<std::uint64_t> by_number(now_uuids_.size());
    for (const auto& e : sorted) ++by_number[e.mount];
    for (std::size_t i = 0; i < by_number.size(); ++i) by_mount_[now_uuids_[i]].now_everywhere += by_number[i];
    for (const auto& prefix : prefixes_) {
        std::ranges::fill(by_number, std::uint64_t{0});
        for (const auto& e : with_prefix(sorted, prefix)) ++by_number[e.mount];
        for (std::size_t i = 0; i < by_number.size(); ++i) by_mount_[now_uuids_[i]].now += by_number[i];
    }
}

std::optional<shrink_check::shrunk_mount> shrink_check::find(const std::set<std::string>& allowed) const {
    for (const auto& [uuid, c] : by_mount_) {
        // A mount that is gone as a whole is noticed by what the place says of itself.
        if (allowed.contains(uuid) || std::ranges::find(now_uuids_, uuid) == now_uuids_.end()) continue;
        if (c.now >= c.before) continue;
        const bool shrunk = (c.before - c.now) * 100 > c.before * limits::shrink_percent;
        if (c.now_everywhere == 0 || (shrunk && is_significant(c.before, c.now)))
            return shrunk_mount{.uuid = uuid, .before = c.before, .now = c.now};
    }
    return std::nullopt;
}

}  // namespace keepstore::keepctl
