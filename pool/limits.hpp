/// Limits of the buffer pool, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <cstddef>

namespace keepstore::limits {

/// The pool grows by this much: one mapping of 64 chunks, touched as it is handed out and then kept.
inline constexpr std::size_t slab_size_bytes = 16 * MiB;
static_assert(slab_size_bytes % chunk_size_bytes == 0);

}  // namespace keepstore::limits
