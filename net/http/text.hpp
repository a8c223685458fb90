/// Small rules of HTTP's grammar (RFC 9110 5).
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::net {

[[nodiscard]] constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

[[nodiscard]] inline std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = to_lower(c);
    return out;
}

[[nodiscard]] constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, {}, to_lower, to_lower);
}

/// A set of characters, as a table.
using character_set = std::array<bool, 256>;

/// ASCII letters and digits, and the characters of `extra`.
[[nodiscard]] consteval character_set letters_digits_and(std::string_view extra) {
    character_set set{};
    for (char c = 0; c < 127; ++c) {
        const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        set[static_cast<std::size_t>(c)] = alphanumeric || extra.contains(c);
    }
    return set;
}

[[nodiscard]] constexpr bool consists_of(const character_set& set, std::string_view text) noexcept {
    return std::ranges::all_of(text, [&](char c) { return set[static_cast<unsigned char>(c)]; });
}

/// RFC 9110 5.6.2: names of headers and methods.
inline constexpr character_set token_characters = letters_digits_and("!#$%&'*+-.^_`|~");
[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
    return !text.empty() && consists_of(token_characters, text);
}

/// No control characters but tabs, so nothing that could end the line.
[[nodiscard]] constexpr bool is_header_value(std::string_view text) noexcept {
    return std::ranges::none_of(text, [](char c) {
        const auto u = static_cast<unsigned char>(c);
        return (u < 0x20 && c != '\t') || u == 0x7f;
    });
}

/// Printable ASCII without spaces.
[[nodiscard]] constexpr bool is_target(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// Parses decimal digits, and nothing else.
template <std::unsigned_integral Number>
[[nodiscard]] std::optional<Number> parse_decimal(std::string_view text) noexcept {
    Number value{};
    const auto* end = text.data() + text.size();
    const auto [stop, code] = std::from_chars(text.data(), end, value);
    if (text.empty() || code != std::errc() || stop != end) return std::nullopt;
    return value;
}

/// Calls `each` with the elements of a comma-separated list.
constexpr void for_each_element(std::string_view list, auto each) {
    while (true) {
        const auto comma = list.find(',');
        each(trim(list.substr(0, comma)));
        if (comma == std::string_view::npos) return;
        list.remove_prefix(comma + 1);
    }
}

}  // namespace keepstore::net
