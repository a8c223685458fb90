/// MD5 of many independent streams at a time: one stream in each 32-bit lane of a SIMD register.
/// One stream is a serial chain (about 0.6 GB/s a core), but a step of sixteen chains costs little
/// more than a step of one. The same source is compiled for AVX-512, AVX2, SSE4 and NEON (Google
/// Highway); the CPU decides at run time.
///
/// Speed per core falls in proportion to empty lanes, yet two occupied lanes already beat OpenSSL's
/// single stream. Stateless; safe from any thread.
#pragma once

#include "digest/md5.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace keepstore::digest {

/// One stream's part in a pass. A lane without a state is empty.
struct md5_lane {
    md5_state* state = nullptr;       ///< In: the state before the blocks; out: after them.
    const std::byte* data = nullptr;  ///< Any alignment.
};

/// Half of a 64-byte block.
using md5_half = std::array<std::byte, md5_block_bytes / 2>;

inline constexpr std::size_t md5_lanes_max = 32;

/// The compression function for one instruction set.
struct md5_kernel {
    std::string_view name;  ///< "avx512", "avx2", "sse4", "neon", "scalar".
    std::size_t lanes;      ///< Most lanes of one pass; the engine fills up to this many.

    /// Runs `blocks` 64-byte blocks of every occupied lane. At most `lanes` lanes; the states are
    /// distinct objects.
    void (*compress)(std::span<const md5_lane> lanes, std::size_t blocks);

    /// Hashes messages of one block each, of every head with every tail: where many names are hashed with the same few
    /// suffixes, each name is loaded, and goes through the steps that need nothing else, once for all of them. At most
    /// `lanes` heads. The tails end with MD5's padding (RFC 1321 3.1, 3.2). The digest of head h with tail t goes to
    /// out[h * row + t].
    void (*digest_halves)(std::span<const md5_half> heads, std::span<const md5_half> tails, md5_digest* out,
                          std::size_t row) = nullptr;
};

/// Kernels that this CPU can run, best first. The last one is always "scalar": OpenSSL, one lane after
/// the other.
[[nodiscard]] std::span<const md5_kernel> md5_kernels();

/// Returns the kernel of that name; nullptr if this CPU has none.
[[nodiscard]] const md5_kernel* find_md5_kernel(std::string_view name);

/// Returns the kernel named by the environment variable KEEPSTORE_DIGEST_TARGET (avx512, avx2, sse4,
/// neon or scalar: for tests and for CPUs that lower their clock under AVX-512); the best one if it is
/// not set or the CPU lacks it. The variable is read once.
[[nodiscard]] const md5_kernel& default_md5_kernel();

/// The choice of default_md5_kernel() for a value of the variable; nullptr: not set.
[[nodiscard]] const md5_kernel& choose_md5_kernel(const char* wanted);

}  // namespace keepstore::digest
