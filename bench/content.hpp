/// Blocks that all differ, at no cost in the timed phase.
///
/// Every block of a size is the same random bytes followed by a tail that differs. The MD5 state
/// before the tail is kept for each size, so a new block with its name costs one or two MD5 rounds
/// (under a microsecond) instead of a pass over 64 MiB. Immutable after construction: all threads
/// share one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace keepstore::bench {

/// One block: `size - tail.size()` bytes of the shared base, then the tail. A size below the tail's
/// cuts the tail.
struct block {
    static constexpr std::size_t tail_bytes = 32;

    std::uint64_t size = 0;
    std::array<std::byte, tail_bytes> tail{};
    std::string md5;  ///< 32 hex digits

    [[nodiscard]] std::uint64_t base_bytes() const { return size > tail_bytes ? size - tail_bytes : 0; }
    [[nodiscard]] std::span<const std::byte> tail_part() const {
        return std::span(tail).first(static_cast<std::size_t>(size - base_bytes()));
    }
};

class content_source {
  public:
    /// `sizes` ascending. The same seed gives the same blocks.
    content_source(std::uint64_t seed, const std::vector<std::uint64_t>& sizes);
    ~content_source();
    content_source(const content_source&) = delete;
    content_source& operator=(const content_source&) = delete;

    /// \param size one of the sizes given to the constructor.
    /// \param number distinct numbers give distinct blocks (blocks of a few bytes repeat all the
    /// same).
    [[nodiscard]] block make(std::uint64_t size, std::uint64_t number) const;

    /// The bytes of `which` from `offset` on, up to the end of the base or of the tail: ask again
    /// for the rest.
    [[nodiscard]] std::span<const std::byte> bytes(const block& which, std::uint64_t offset) const;

  private:
    struct hash_states;

    std::uint64_t seed_;
    std::vector<std::byte> base_;
    std::vector<std::uint64_t> sizes_;
    std::unique_ptr<hash_states> states_;
};

/// Mixes a 64-bit number (splitmix64): good enough for incompressible, distinct content.
std::uint64_t mix64(std::uint64_t value);

/// 32 lower-case hex digits of a digest.
std::string to_hex(std::span<const unsigned char, 16> digest);

}  // namespace keepstore::bench
