#include "base/md5_digest.hpp"

#include "base/hex.hpp"

#include <array>

namespace keepstore {
namespace {

constexpr std::uint8_t no_digit = 0x10;

/// Of each character its value as a lower-case digit: indexes have millions of names, and their digits cannot be
/// predicted by branches.
constexpr auto digit_values = [] {
    std::array<std::uint8_t, 256> out{};
    for (std::size_t c = 0; c < out.size(); ++c)
        out[c] =
            is_lower_hex(static_cast<char>(c)) ? static_cast<std::uint8_t>(hex_value(static_cast<char>(c))) : no_digit;
    return out;
}();

unsigned value_of(char c) noexcept {
    return digit_values[static_cast<unsigned char>(c)];
}

}  // namespace

std::string md5_digest::hex() const {
    return to_hex(bytes);
}

std::optional<md5_digest> md5_digest::parse(std::string_view hex) {
    if (hex.size() != 32) return std::nullopt;
    md5_digest out;
    unsigned seen = 0;
    for (std::size_t i = 0; i < out.bytes.size(); ++i) {
        const unsigned high = value_of(hex[2 * i]);
        const unsigned low = value_of(hex[2 * i + 1]);
        seen |= high | low;
        out.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    if (seen >= no_digit) return std::nullopt;
    return out;
}

}  // namespace keepstore
