#include "cluster_config/scalars.hpp"

#include "base/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

namespace keepstore::cluster_config {
namespace {

struct time_unit {
    std::string_view name;
    std::uint64_t nanoseconds;
};

/// Descending; those with the same length after the one that is written.
constexpr std::array<time_unit, 8> time_units{{
    {"h", 3'600'000'000'000},
    {"m", 60'000'000'000},
    {"s", 1'000'000'000},
    {"ms", 1'000'000},
    {"us", 1'000},
    {"\u00b5s", 1'000},  // micro sign
    {"\u03bcs", 1'000},  // Greek mu
    {"ns", 1},
}};

constexpr std::uint64_t nanoseconds_max = std::uint64_t{1} << 63;

}  // namespace

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (text == "0") return std::chrono::nanoseconds(0);
    if (text.empty()) return std::nullopt;

    std::uint64_t total = 0;
    while (!text.empty()) {
        std::uint64_t whole = 0;
        std::size_t digits = 0;
        for (; !text.empty() && is_digit(text[0]); text.remove_prefix(1), ++digits) {
            if (whole > nanoseconds_max / 10) return std::nullopt;
            whole = whole * 10 + static_cast<std::uint64_t>(text[0] - '0');
        }
        double fraction = 0;
        if (text.starts_with('.')) {
            text.remove_prefix(1);
            double scale = 0.1;
            for (; !text.empty() && is_digit(text[0]); text.remove_prefix(1), ++digits, scale /= 10)
                fraction += scale * (text[0] - '0');
        }
        if (digits == 0) return std::nullopt;
        const auto name = text.substr(0, text.find_first_of(".0123456789"));
        const auto unit = std::ranges::find(time_units, name, &time_unit::name);
        if (unit == time_units.end()) return std::nullopt;
        text.remove_prefix(name.size());
        if (whole > nanoseconds_max / unit->nanoseconds) return std::nullopt;
        // A little is added because sums of tenths are not exact in binary.
        total += whole * unit->nanoseconds +
                 static_cast<std::uint64_t>(fraction * static_cast<double>(unit->nanoseconds) + 1e-6);
        if (total > nanoseconds_max) return std::nullopt;
    }
    if (negative) return std::chrono::nanoseconds(static_cast<std::int64_t>(0 - total));
    if (total == nanoseconds_max) return std::nullopt;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(total));
}

std::string format_duration(std::chrono::nanoseconds duration) {
    if (duration.count() == 0) return "0s";
    std::string out = duration.count() < 0 ? "-" : "";
    auto left = static_cast<std::uint64_t>(duration.count());
    if (duration.count() < 0) left = 0 - left;
    for (const auto& [name, size] : time_units) {
        if (left >= size) out += fmt::format("{}{}", left / size, name);
        left %= size;
    }
    return out;
}

std::optional<std::uint64_t> parse_byte_size(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size() && (is_digit(text[at]) || text[at] == '.')) ++at;
    if (at == 0 || !is_digit(text[0])) return std::nullopt;
    // An E directly after the digits is an exponent only when a digit or a sign follows, else it is
    // Exa.
    if (at + 1 < text.size() && (text[at] == 'e' || text[at] == 'E') &&
        (is_digit(text[at + 1]) || text[at + 1] == '+' || text[at + 1] == '-')) {
        at += 2;
        while (at < text.size() && is_digit(text[at])) ++at;
    }
    const std::string number(text.substr(0, at));
    char* end = nullptr;
    const long double value = std::strtold(number.c_str(), &end);
    if (end != number.c_str() + number.size()) return std::nullopt;

    text.remove_prefix(at);
    while (text.starts_with(' ')) text.remove_prefix(1);
    if (text.ends_with('B') && text.size() > 1)
        text.remove_suffix(1);
    else if (text == "B")
        text = {};
    long double factor = 1;
    if (!text.empty()) {
        constexpr std::string_view prefixes = "KMGTPE";
        const auto power = prefixes.find(text[0]);
        if (power == std::string_view::npos || (text.size() > 1 && text.substr(1) != "i")) return std::nullopt;
        factor = std::pow(text.size() > 1 ? 1024.0L : 1000.0L, static_cast<long double>(power + 1));
    }
    const long double bytes = std::floor(value * factor);
    if (!(bytes < 9223372036854775808.0L)) return std::nullopt;
    return static_cast<std::uint64_t>(bytes);
}

std::string format_bytes(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 6> units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) return fmt::format("{} bytes", bytes);
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (value /= 1024; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
    if (value == std::floor(value)) return fmt::format("{:.0f} {}", value, units[unit]);
    return fmt::format("{:.1f} {}", value, units[unit]);
}

bool is_cluster_id(std::string_view text) {
    return text.size() == 5 && std::ranges::all_of(text, is_lower_or_digit);
}

}  // namespace keepstore::cluster_config
