/// One line of an index in memory: 32 bytes, so that a shard of a hundred thousand takes 3.2 MB.
#pragma once

#include "base/md5_digest.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// A copy of a block on a mount.
struct entry {
    md5_digest block;
    std::uint32_t size = 0;   ///< Bytes, at most limits::block_size_bytes_max.
    std::uint16_t mount = 0;  ///< Index into the place's mounts().
    std::uint16_t flags = 0;
    std::int64_t mtime = 0;  ///< Nanoseconds since 1970.

    [[nodiscard]] bool operator==(const entry&) const = default;
};
static_assert(sizeof(entry) == 32);

/// A block as one command means it.
struct block_id {
    md5_digest name;
    std::uint32_t size = 0;

    [[nodiscard]] std::string text() const { return name.hex() + '+' + std::to_string(size); }
};

/// Sorts by block, then mount. Of two entries of one copy the later one stays.
void sort_entries(std::vector<entry>& entries);

/// Replaces `into` by all entries of the listings, sorted in the same way.
void merge_listings(std::span<const std::vector<entry>> listings, std::vector<entry>& into);

/// The entries of the first block of a sorted list.
[[nodiscard]] std::span<const entry> first_block(std::span<const entry> sorted);
/// The same, taken off the list.
[[nodiscard]] std::span<const entry> take_block(std::span<const entry>& sorted);
/// Takes off the entries of `name`, and those of the blocks before it, of which nothing is returned.
[[nodiscard]] std::span<const entry> take_block(std::span<const entry>& sorted, const md5_digest& name);

}  // namespace keepstore::keepctl
