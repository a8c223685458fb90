/// ASCII text: classes of characters, comparison without case, numbers, percent-encoding. Pure functions, independent
/// of the locale.
#pragma once

#include "base/hex.hpp"

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace keepstore {

[[nodiscard]] constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
[[nodiscard]] constexpr bool is_lower(char c) noexcept {
    return c >= 'a' && c <= 'z';
}
[[nodiscard]] constexpr bool is_letter(char c) noexcept {
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}
[[nodiscard]] constexpr bool is_lower_or_digit(char c) noexcept {
    return is_lower(c) || is_digit(c);
}
[[nodiscard]] constexpr bool is_alphanumeric(char c) noexcept {
    return is_letter(c) || is_digit(c);
}
/// Whether all characters are digits, and there is one.
[[nodiscard]] constexpr bool is_number(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, is_digit);
}

[[nodiscard]] constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
[[nodiscard]] inline std::string lower_case(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), to_lower);
    return out;
}
[[nodiscard]] constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, {}, to_lower, to_lower);
}

/// A part of `text`, also when nothing is left.
[[nodiscard]] constexpr std::string_view trim(std::string_view text, std::string_view blanks = " \t") noexcept {
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return text.substr(text.size());
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Takes the text up to the first `separator` off the front of `rest`, with the separator; all of it if there is none.
[[nodiscard]] constexpr std::string_view take_part(std::string_view& rest, char separator) noexcept {
    const auto end = rest.find(separator);
    const auto part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    return part;
}

/// Parses digits, after a minus sign if Number has negative values, and nothing else. nullopt also for overflow.
template <std::integral Number>
[[nodiscard]] std::optional<Number> parse_number(std::string_view text, int base = 10) noexcept {
    Number value{};
    const auto* const end = text.data() + text.size();
    const auto [stop, code] = std::from_chars(text.data(), end, value, base);
    if (code != std::errc() || stop != end) return std::nullopt;
    return value;
}

/// Replaces %41 by A. nullopt for a percent sign without two hexadecimal digits. In query parts a plus sign stands for
/// a space.
[[nodiscard]] inline std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

}  // namespace keepstore
