/// Reads bytes of a stored copy: those in the page cache at once and in place, the rest by the volume's threads.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "volumes/volume.hpp"

#include <cstdint>
#include <span>

namespace keepstore::store {

/// Fills `into` from `offset`. Short only at the end of the copy.
[[nodiscard]] awaitable<result<std::size_t>> read_stored(volumes::block_reader& copy, std::uint64_t offset,
                                                         const mutable_slice& into, deadline until);

/// Fills all of `pieces`, consecutive ones from `offset`, from the page cache. \returns false if a part is not there.
[[nodiscard]] bool try_read_stored_all(volumes::block_reader& copy, std::uint64_t offset,
                                       std::span<const mutable_slice> pieces);

/// Fills all of `pieces`, consecutive ones from `offset`; what is not in the page cache is read concurrently.
/// errc::checksum_mismatch if the copy ends before.
[[nodiscard]] awaitable<result<void>> read_stored_all(volumes::block_reader& copy, std::uint64_t offset,
                                                      std::span<const mutable_slice> pieces, deadline until);

}  // namespace keepstore::store
