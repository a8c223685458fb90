/// One range of bytes: as a client requests it (RFC 9110 section 14.1.2), and resolved for a block. Value types.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace keepstore {

/// Bytes [first, first + length) of a block.
struct byte_range {
    std::uint64_t first = 0;
    std::uint64_t length = 0;

    [[nodiscard]] std::uint64_t end() const noexcept { return first + length; }
    [[nodiscard]] bool operator==(const byte_range&) const = default;
};

/// "first-last", "first-" (last absent), or "-last" (first absent): the last `last` bytes.
struct byte_range_spec {
    std::optional<std::uint64_t> first;
    std::optional<std::uint64_t> last;

    /// The range in a block of `size` bytes; nothing if it contains no byte of the block (416).
    [[nodiscard]] std::optional<byte_range> resolve(std::uint64_t size) const noexcept {
        if (!first) {
            const std::uint64_t count = std::min(last.value_or(0), size);
            if (count == 0) return std::nullopt;
            return byte_range{size - count, count};
        }
        if (*first >= size || (last && *last < *first)) return std::nullopt;
        const std::uint64_t end = last ? std::min(*last, size - 1) + 1 : size;
        return byte_range{*first, end - *first};
    }
};

}  // namespace keepstore
