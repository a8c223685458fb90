#include "router/range_header.hpp"

#include "base/text.hpp"
#include "net/http/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace keepstore::router {
namespace {

// Returns the value of the digits, or the largest number if they overflow.
std::uint64_t number(std::string_view digits) noexcept {
    return parse_number<std::uint64_t>(digits).value_or(std::numeric_limits<std::uint64_t>::max());
}

// range-spec = first-pos "-" [ last-pos ] / "-" suffix-length, without white space.
std::optional<byte_range_spec> parse_spec(std::string_view spec) noexcept {
    const auto dash = spec.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const std::string_view first = spec.substr(0, dash);
    const std::string_view last = spec.substr(dash + 1);
    byte_range_spec out;
    if (!first.empty()) {
        if (!is_number(first)) return std::nullopt;
        out.first = number(first);
    }
    if (!last.empty()) {
        if (!is_number(last)) return std::nullopt;
        out.last = number(last);
    }
    if (!out.first && !out.last) return std::nullopt;
    if (out.first && out.last && *out.last < *out.first) return std::nullopt;
    return out;
}

}  // namespace

std::optional<byte_range_spec> parse_range(std::string_view value) noexcept {
    const auto equals = value.find('=');
    if (equals == std::string_view::npos || !iequals(value.substr(0, equals), "bytes")) return std::nullopt;
    std::string_view set = value.substr(equals + 1);
    // White space is allowed around the commas of a list only, and empty elements are skipped (section 5.6.1.2).
    if (set != trim(set)) return std::nullopt;
    std::string_view only;
    while (!set.empty()) {
        const std::string_view element = trim(take_part(set, ','));
        if (element.empty()) continue;
        if (!only.empty()) return std::nullopt;
        only = element;
    }
    return parse_spec(only);
}

std::optional<byte_range_spec> requested_range(const net::request_head& head, std::string_view entity_tag) noexcept {
    if (head.method != "GET") return std::nullopt;
    const net::header* range = nullptr;
    const net::header* condition = nullptr;
    for (const net::header& h : head.headers) {
        const bool is_range = iequals(h.name, "Range");
        if (!is_range && !iequals(h.name, "If-Range")) continue;
        const net::header*& slot = is_range ? range : condition;
        if (slot) return std::nullopt;  // Neither header is a list: two of them are ambiguous.
        slot = &h;
    }
    if (!range || (condition && condition->value != entity_tag)) return std::nullopt;
    return parse_range(range->value);
}

std::string entity_tag_of(const md5_digest& hash) {
    return fmt::format("\"{}\"", hash.hex());
}

std::string content_range(const std::optional<byte_range>& part, std::uint64_t size) {
    if (!part) return fmt::format("bytes */{}", size);
    return fmt::format("bytes {}-{}/{}", part->first, part->end() - 1, size);
}

}  // namespace keepstore::router
