/// MD5, one stream: OpenSSL's assembly with the chaining state exposed. About 0.6 GB/s a core, and not
/// more by any means: it is one dependency chain. For several streams at a time see digest/engine.hpp. A value type;
/// use from one thread at a time.
#pragma once

#include "base/md5_digest.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace keepstore::digest {

inline constexpr std::size_t md5_block_bytes = 64;

/// The four chaining words A, B, C, D (RFC 1321 section 3.3) after a whole number of 64-byte
/// blocks.
struct md5_state {
    std::array<std::uint32_t, 4> words{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

    [[nodiscard]] bool operator==(const md5_state&) const = default;
};

class md5 {
  public:
    md5() = default;
    /// Continues from `state` after `length` bytes, a multiple of 64.
    md5(const md5_state& state, std::uint64_t length);

    void update(std::span<const std::byte> bytes);
    [[nodiscard]] md5_digest finish();  ///< Pads and ends the stream; it takes no more bytes.

    [[nodiscard]] std::uint64_t length() const noexcept { return length_; }
    /// The chaining state. Only where length() is a multiple of 64.
    [[nodiscard]] md5_state state() const;

  private:
    md5_state state_;
    std::uint64_t length_ = 0;
    std::array<std::byte, md5_block_bytes> partial_{};  // The last length_ % 64 bytes.
};

/// Runs whole 64-byte blocks through the compression function. `bytes.size()` must be a multiple
/// of 64.
void md5_compress(md5_state& state, std::span<const std::byte> bytes);

/// The digest of a stream whose first `length - tail.size()` bytes led to `state`; `tail` is under
/// 64 bytes.
[[nodiscard]] md5_digest md5_finish(const md5_state& state, std::span<const std::byte> tail, std::uint64_t length);

[[nodiscard]] md5_digest md5_of(std::span<const std::byte> bytes);

}  // namespace keepstore::digest
