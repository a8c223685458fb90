/// Waypoints of a block: its MD5 chaining states (midstates) at every multiple of a stride. With them
/// the segments between are verified independently: start from state i, hash segment i, compare with
/// state i + 1; the last segment, padded, must give the block's name. If all agree then, by induction
/// from MD5's initial state, the block has that name, whatever the origin of the waypoints: they are
/// hints, never trusted. A value type.
///
/// Encoded form, version 1 (16 + 16 * n bytes, at most 1,024; integers are little-endian):
///
// clang-format off
///   offset    bytes  content
///   0         1      version: 1
///   1         1      log2 of the stride: 16 to 26
///   2         2      n, the number of states: the number of segments less 1 (0 for an empty block), at most 63
///   4         4      length of the block in bytes, at most 64 MiB
///   8         16*n   the states at stride, 2 * stride, ..., each the words A, B, C, D
///   8 + 16*n  8      the first 8 bytes of the MD5 of everything before and the 16 bytes of the block's name: detects
///                    damage, and waypoints of another block; not malice
// clang-format on
#pragma once

#include "base/limits.hpp"
#include "base/units.hpp"
#include "digest/md5.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace keepstore::digest {

/// Name of the attribute that keeps the waypoints with a copy (docs/waypoints.md).
inline constexpr std::string_view waypoints_attribute = "keepstore.waypoints";

/// Smaller blocks are verified whole before the first byte leaves; waypoints would not help them.
[[nodiscard]] constexpr bool has_waypoints(std::uint64_t block_size) noexcept {
    return block_size > limits::chunk_size_bytes && block_size <= limits::block_size_bytes_max;
}

class waypoints {
  public:
    static constexpr std::size_t stride_bytes_min = 64 * KiB;
    static constexpr std::size_t segments_max = 64;
    static constexpr std::size_t encoded_bytes_max = 16 + 16 * (segments_max - 1);

    /// Returns the stride that is written: the smallest power of two of at least stride_bytes_min with
    /// which a block of `length` bytes has at most segments_max segments.
    [[nodiscard]] static std::size_t stride_for(std::size_t length);

    /// \returns nothing if the block is too long, the stride is not one that the format allows for
    /// its length, or `states` are fewer than its inner boundaries. A state at the very end of the
    /// block is left out.
    [[nodiscard]] static std::optional<waypoints> make(std::size_t length, std::size_t stride,
                                                       std::span<const md5_state> states);

    /// Makes waypoints of the stride that is written (stride_for) from states at every multiple of `captured_stride`,
    /// which must divide it. \returns nothing if states are missing.
    [[nodiscard]] static std::optional<waypoints> from_capture(std::size_t length, std::size_t captured_stride,
                                                               std::span<const md5_state> states);

    [[nodiscard]] std::size_t length() const noexcept { return length_; }
    [[nodiscard]] std::size_t stride() const noexcept { return stride_; }

    /// 0 for an empty block.
    [[nodiscard]] std::size_t segment_count() const noexcept;
    /// Size of segment `i`, which begins at i * stride(). All but the last are one stride long.
    [[nodiscard]] std::size_t segment_bytes(std::size_t i) const;
    /// The state before segment `i` < max(segment_count(), 1).
    [[nodiscard]] const md5_state& state_before(std::size_t i) const;
    /// The state that segment `i` must lead to; nothing for the last one, which must give the
    /// block's name.
    [[nodiscard]] std::optional<md5_state> state_after(std::size_t i) const;

    /// Encodes them for the block of this name.
    [[nodiscard]] std::vector<std::byte> encode(const md5_digest& block) const;
    /// Decodes any input, and trusts no size in it. \returns nothing if the bytes are damaged, of an
    /// unknown version, or for another block or length.
    [[nodiscard]] static std::optional<waypoints> decode(std::span<const std::byte> bytes, std::size_t block_length,
                                                         const md5_digest& block);

    [[nodiscard]] bool operator==(const waypoints&) const = default;

  private:
    waypoints(std::size_t length, std::size_t stride) : length_(length), stride_(stride) {}

    std::size_t length_;
    std::size_t stride_;
    std::vector<md5_state> states_{md5_state()};  // [i] is the state before segment i.
};

}  // namespace keepstore::digest
