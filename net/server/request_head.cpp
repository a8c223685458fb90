#include "net/server/server_exchange.hpp"

#include <algorithm>

namespace keepstore::net {
namespace {

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::string_view request_head::get(std::string_view name) const noexcept {
    const auto found =
        std::ranges::find_if(headers, [&](const header& h) { return equal_ignoring_case(h.name, name); });
    return found == headers.end() ? std::string_view{} : std::string_view(found->value);
}

bool request_head::has(std::string_view name) const noexcept {
    return std::ranges::any_of(headers, [&](const header& h) { return equal_ignoring_case(h.name, name); });
}

}  // namespace keepstore::net
