#include "store/mount.hpp"

#include "protocol/rendezvous.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::store {
namespace {

struct ranked_mount {
    const mount* where;
    volumes::volume_state state;
    md5_digest weight;
};

std::vector<const mount*> in_order(std::span<const mount> mounts, const md5_digest& block, bool for_writes) {
    std::vector<ranked_mount> ranked;
    ranked.reserve(mounts.size());
    const bool choice = mounts.size() > 1;
    for (const mount& m : mounts) {
        if (for_writes && !m.allow_write) continue;
        ranked.push_back({.where = &m,
                          .state = choice ? (for_writes ? m.write_state() : m.read_state()) : volumes::volume_state{},
                          .weight = choice ? protocol::rendezvous_weight(block, m.uuid) : md5_digest{}});
    }
    std::ranges::sort(ranked, [](const ranked_mount& a, const ranked_mount& b) {
        if (a.state != b.state) return a.state < b.state;
        if (a.where->priority != b.where->priority) return a.where->priority > b.where->priority;
        return a.weight < b.weight;
    });
    std::vector<const mount*> out;
    out.reserve(ranked.size());
    for (const auto& r : ranked) out.push_back(r.where);
    return out;
}

}  // namespace

volumes::volume_state mount::read_state() const {
    return volume ? volume->state().reads : volumes::volume_state::healthy;
}

volumes::volume_state mount::write_state() const {
    return volume ? volume->state().writes : volumes::volume_state::healthy;
}

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
