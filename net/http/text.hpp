/// Small rules of HTTP's grammar (RFC 9110 5).
#pragma once

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace keepstore::net {

/// A set of characters, as a table.
using character_set = std::array<bool, 256>;

/// ASCII letters and digits, and the characters of `extra`.
[[nodiscard]] consteval character_set letters_digits_and(std::string_view extra) {
    character_set set{};
    for (char c = 0; c < 127; ++c) {
        set[static_cast<std::size_t>(c)] = is_alphanumeric(c) || extra.contains(c);
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
