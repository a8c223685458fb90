#include "router/status_page/value_format.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace keepstore::router {
namespace {

constexpr std::string_view nothing = "\u2013";

// Three digits, halves rounded up: fmt rounds them to even, JavaScript up.
std::string three_digits(double n) {
    const int decimals = n < 10 ? 2 : n < 100 ? 1 : 0;
    const double scale = std::pow(10, decimals);
    return fmt::format("{:.{}f}", std::floor(n * scale + 0.5) / scale, decimals);
}

std::string grouped(double n) {
    std::string digits = fmt::format("{:.0f}", std::floor(n + 0.5));
    for (std::size_t at = digits.size(); at > 3;) {
        at -= 3;
        digits.insert(at, 1, ',');
    }
    return digits;
}

std::string bytes_text(double n) {
    constexpr std::array<std::string_view, 6> units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t unit = 0;
    for (; n >= 1024 && unit + 1 < units.size(); n /= 1024) ++unit;
    return fmt::format("{} {}", unit == 0 ? grouped(n) : three_digits(n), units[unit]);
}

std::string latency_text(double seconds) {
    if (seconds < 1e-3) return fmt::format("{:.0f} \u00b5s", std::floor(seconds * 1e6 + 0.5));
    if (seconds < 1) return three_digits(seconds * 1e3) + " ms";
    return three_digits(seconds) + " s";
}

std::string duration_text(double n) {
    const auto seconds = static_cast<long long>(n);
    if (seconds < 60) return fmt::format("{} s", seconds);
    if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
    if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
    return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string number_text(std::string_view format, double n) {
    if (format == "bytes") return bytes_text(n);
    if (format == "rate") return bytes_text(n) + "/s";
    if (format == "per_second") return three_digits(n) + "/s";
    if (format == "seconds") return latency_text(n);
    if (format == "duration") return duration_text(n);
    if (format == "percent") return three_digits(n * 100) + " %";
    if (format == "decimal") return three_digits(n);
    return grouped(n);
}

}  // namespace

std::string format_value(std::string_view format, const nlohmann::ordered_json& value) {
    if (value.is_number()) {
        const auto n = value.get<double>();
        return std::isfinite(n) ? number_text(format, n) : std::string(nothing);
    }
    if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
    if (!value.is_string()) return std::string(nothing);
    auto text = value.get<std::string>();
    // 2026-01-01T00:00:00Z
    if (format == "time" && text.size() >= 20) return text.substr(0, 10) + " " + text.substr(11, 8) + " UTC";
    return text;
}

}  // namespace keepstore::router
