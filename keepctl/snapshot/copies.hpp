/// How many copies of a block there are, and how a block compares between two lists. Pure.
#pragma once

#include "keepctl/cluster/block_place.hpp"
#include "keepctl/snapshot/documents.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// Numbers the devices of mounts: two mounts of one device have one number. A mount without a device counts as one.
template <class Mount>
[[nodiscard]] std::vector<std::size_t> number_devices(const std::vector<Mount>& mounts) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < mounts.size(); ++i) {
        const auto same = std::ranges::find_if(
            mounts, [&](const Mount& m) { return !m.device_id.empty() && m.device_id == mounts[i].device_id; });
        out.push_back(same == mounts.end() ? i : static_cast<std::size_t>(same - mounts.begin()));
    }
    return out;
}

/// The number of devices that have a copy of this size.
[[nodiscard]] inline std::size_t copies_of(std::span<const entry> block, const std::vector<std::size_t>& devices,
                                           std::uint32_t size) {
    std::vector<std::size_t> found;
    for (const auto& e : block) {
        if (e.size == size && std::ranges::find(found, devices.at(e.mount)) == found.end())
            found.push_back(devices.at(e.mount));
    }
    return found.size();
}

/// The first block of two sorted lists, which are not both empty.
[[nodiscard]] inline md5_digest first_name(std::span<const entry> a, std::span<const entry> b) {
    if (a.empty()) return b.front().block;
    return b.empty() ? a.front().block : std::min(a.front().block, b.front().block);
}

}  // namespace keepstore::keepctl
