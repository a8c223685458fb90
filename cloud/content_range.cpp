#include "cloud/content_range.hpp"

#include <charconv>
#include <system_error>

namespace keepstore::cloud {
namespace {

std::optional<std::uint64_t> take_number(std::string_view& text) {
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

bool take(std::string_view& text, std::string_view expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

}  // namespace

std::optional<content_range> parse_content_range(std::string_view text) {
    if (!take(text, "bytes ")) return std::nullopt;
    const auto first = take_number(text);
    if (!first || !take(text, "-")) return std::nullopt;
    const auto last = take_number(text);
    if (!last || !take(text, "/")) return std::nullopt;
    content_range out{.first = *first, .last = *last, .total = {}};
    if (!take(text, "*")) {
        out.total = take_number(text);
        if (!out.total || out.last >= *out.total) return std::nullopt;
    }
    if (!text.empty() || out.first > out.last) return std::nullopt;
    return out;
}

}  // namespace keepstore::cloud
