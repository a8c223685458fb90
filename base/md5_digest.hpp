/// The name of a block: the MD5 of its content, 16 bytes, written as 32 lower-case hex digits.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore {

struct md5_digest {
    std::array<std::uint8_t, 16> bytes{};

    [[nodiscard]] auto operator<=>(const md5_digest&) const = default;
    [[nodiscard]] std::string hex() const;
    /// Exactly 32 characters [0-9a-f]; upper case is refused (docs/interface.md 3.1, 8.1).
    [[nodiscard]] static std::optional<md5_digest> parse(std::string_view hex);
};

/// d41d8cd98f00b204e9800998ecf8427e, the MD5 of an empty block.
inline constexpr md5_digest md5_of_nothing{
    {0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e}};

}  // namespace keepstore

template <>
struct std::hash<keepstore::md5_digest> {
    std::size_t operator()(const keepstore::md5_digest& d) const noexcept {
        std::size_t h;  // The bytes are uniformly distributed already.
        std::memcpy(&h, d.bytes.data(), sizeof h);
        return h;
    }
};
