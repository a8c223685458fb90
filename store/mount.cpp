#include "store/mount.hpp"

#include "digest/md5.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::store {
namespace {

// The part of a 27-character Arvados uuid that identifies the volume; other uuids count as a whole
// (docs/interface.md 3.4).
std::string_view weight_part(std::string_view uuid) {
    return uuid.size() == 27 ? uuid.substr(12) : uuid;
}

std::vector<const mount*> in_order(std::span<const mount> mounts, const md5_digest& block, bool writable_only) {
    std::vector<std::pair<md5_digest, const mount*>> weighted;
    weighted.reserve(mounts.size());
    const std::string hash = mounts.size() > 1 ? block.hex() : std::string();
    for (const mount& m : mounts) {
        if (writable_only && !m.allow_write) continue;
        md5_digest weight;
        if (mounts.size() > 1) {
            const std::string text = hash + std::string(weight_part(m.uuid));
            weight = digest::md5_of(std::as_bytes(std::span(text)));
        }
        weighted.emplace_back(weight, &m);
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
