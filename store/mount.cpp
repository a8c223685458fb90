#include "store/mount.hpp"

#include "protocol/rendezvous.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::store {
namespace {

std::vector<const mount*> in_order(std::span<const mount> mounts, const md5_digest& block, bool writable_only) {
    std::vector<std::pair<md5_digest, const mount*>> weighted;
    weighted.reserve(mounts.size());
    for (const mount& m : mounts) {
        if (writable_only && !m.allow_write) continue;
        weighted.emplace_back(mounts.size() > 1 ? protocol::rendezvous_weight(block, m.uuid) : md5_digest{}, &m);
    }
    std::ranges::sort(weighted, [](const auto& a, const auto& b) {
        if (a.second->priority != b.second->priority) return a.second->priority > b.second->priority;
        return a.first < b.first;
    });
    std::vector<const mount*> out;
    out.reserve(weighted.size());
    for (const auto& w : weighted) out.push_back(w.second);
    return out;
}

}  // namespace

mount_table::mount_table(std::vector<mount> mounts) : mounts_(std::move(mounts)) {}

const mount* mount_table::find(std::string_view uuid) const noexcept {
    const auto at = std::ranges::find(mounts_, uuid, &mount::uuid);
    return at == mounts_.end() ? nullptr : &*at;
}

std::vector<const mount*> mount_table::in_read_order(const md5_digest& block) const {
    return in_order(mounts_, block, false);
}

std::vector<const mount*> mount_table::in_write_order(const md5_digest& block) const {
    return in_order(mounts_, block, true);
}

}  // namespace keepstore::store
