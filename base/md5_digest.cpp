#include "base/md5_digest.hpp"

#include "base/hex.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace keepstore {
namespace {

/// The value of a lower-case hex digit; `bad` gets a bit for any other character. Without branches and tables, so that
/// a compiler does sixteen at a time: indexes have millions of names.
constexpr std::uint8_t digit_value(char character, std::uint8_t& bad) noexcept {
    const auto c = static_cast<std::uint8_t>(character);
    const auto digit = static_cast<std::uint8_t>(c - '0');
    const auto letter = static_cast<std::uint8_t>(c - 'a');
    bad |= static_cast<std::uint8_t>(digit > 9 && letter > 5);
    return digit <= 9 ? digit : static_cast<std::uint8_t>(letter + 10);
}

}  // namespace

std::string md5_digest::hex() const {
    return to_hex(bytes);
}

std::optional<md5_digest> md5_digest::parse(std::string_view hex) {
    if (hex.size() != 32) return std::nullopt;
    std::array<std::uint8_t, 32> values;
    std::uint8_t bad = 0;
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = digit_value(hex[i], bad);
    if (bad != 0) return std::nullopt;
    static_assert(std::endian::native == std::endian::little);
    std::array<std::uint16_t, 16> pairs;  // The first digit of a pair is the low byte.
    std::memcpy(pairs.data(), values.data(), values.size());
    md5_digest out;
    for (std::size_t i = 0; i < pairs.size(); ++i)
        out.bytes[i] = static_cast<std::uint8_t>(pairs[i] << 4 | pairs[i] >> 8);
    return out;
}

}  // namespace keepstore
