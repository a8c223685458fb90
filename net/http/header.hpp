/// Header fields of a request or a response. Names are matched without regard to case.
#pragma once

#include "net/http/text.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace keepstore::net {

struct header {
    std::string name;
    std::string value;
};

/// Views into a head that was parsed.
struct header_view {
    std::string_view name;
    std::string_view value;
};

/// The first header of this name; end() if there is none.
[[nodiscard]] constexpr auto find_header(auto&& headers, std::string_view name) noexcept {
    return std::ranges::find_if(headers, [&](const auto& h) { return iequals(h.name, name); });
}
[[nodiscard]] constexpr bool has_header(const auto& headers, std::string_view name) noexcept {
    return find_header(headers, name) != headers.end();
}
/// The value of the first header of this name; empty if there is none.
[[nodiscard]] constexpr std::string_view header_value(const auto& headers, std::string_view name) noexcept {
    const auto at = find_header(headers, name);
    return at == headers.end() ? std::string_view() : std::string_view(at->value);
}

}  // namespace keepstore::net
