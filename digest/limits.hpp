/// Limits of the digest engine, with their reasons; see base/limits.hpp.
#pragma once

#include "base/limits.hpp"
#include "base/units.hpp"

#include <cstddef>

namespace keepstore::limits {

/// Up to this size a piece of an idle stream is hashed on the calling thread: about 25 microseconds, which is what
/// waking another thread and coming back costs.
inline constexpr std::size_t digest_inline_bytes_max = 16 * KiB;
/// Bytes per lane of one pass. A newcomer waits for one pass at most: 16 lanes of 64 KiB take 125 microseconds, and
/// 64 KiB x 16 stay in an L2 cache.
inline constexpr std::size_t digest_pass_bytes = 64 * KiB;
/// Bytes that a stream may hash in one turn while others wait for a lane. One chunk: bookkeeping is noise, and with 64
/// busy streams on 32 lanes each gets its turn within a millisecond or two.
inline constexpr std::size_t digest_turn_bytes = chunk_size_bytes;

}  // namespace keepstore::limits
