#include "cluster_config/value.hpp"

#include "cluster_config/scalars.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>

namespace keepstore::cluster_config {
namespace {

using kind = config_value::kind;

/// Go's strconv.ParseInt(text, 0, 64), extended by what ParseUint would take: sign, then 0x, 0o,
/// 0b, a leading 0 for octal, or decimal. Values over int64 come back as a real.
std::optional<config_value> resolve_integer(std::string_view digits) {
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    int base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
        const char marker = static_cast<char>(digits[1] | 0x20);
        base = marker == 'x' ? 16 : marker == 'b' ? 2 : 8;
        digits.remove_prefix(marker == 'x' || marker == 'b' || marker == 'o' ? 2 : 1);
    }
    const auto magnitude = parse_number<std::uint64_t>(digits, base);
    if (!magnitude) return std::nullopt;

    constexpr auto positive_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    config_value value;
    if (*magnitude <= positive_max + (negative ? 1 : 0)) {
        value.type = kind::integer;
        value.integer = static_cast<std::int64_t>(negative ? 0 - *magnitude : *magnitude);
    } else {
        value.type = kind::real;
        value.real = negative ? -static_cast<double>(*magnitude) : static_cast<double>(*magnitude);
    }
    return value;
}

/// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool looks_like_real(std::string_view text) {
    std::size_t at = 0;
    const auto digits = [&] {
        const std::size_t from = at;
        while (at < text.size() && is_digit(text[at])) ++at;
        return at - from;
    };
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t before = digits();
    std::size_t after = 0;
    if (at < text.size() && text[at] == '.') {
        ++at;
        after = digits();
    }
    if (before + after == 0) return false;
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
        if (digits() == 0) return false;
    }
    return at == text.size();
}

std::optional<config_value> resolve_word(std::string_view word) {
    static const std::unordered_map<std::string_view, bool> booleans{
        {"y", true},    {"Y", true},      {"yes", true},    {"Yes", true},   {"YES", true},  {"on", true},
        {"On", true},   {"ON", true},     {"true", true},   {"True", true},  {"TRUE", true}, {"n", false},
        {"N", false},   {"no", false},    {"No", false},    {"NO", false},   {"off", false}, {"Off", false},
        {"OFF", false}, {"false", false}, {"False", false}, {"FALSE", false}};
    config_value value;
    if (word.empty() || word == "~" || word == "null" || word == "Null" || word == "NULL") return value;
    if (const auto found = booleans.find(word); found != booleans.end()) {
        value.type = kind::boolean;
        value.boolean = found->second;
        return value;
    }
    const std::string_view unsigned_word = word.substr(word[0] == '+' || word[0] == '-' ? 1 : 0);
    if (unsigned_word == ".inf" || unsigned_word == ".Inf" || unsigned_word == ".INF") {
        value.type = kind::real;
        value.real = word[0] == '-' ? -HUGE_VAL : HUGE_VAL;
        return value;
    }
    if (word == ".nan" || word == ".NaN" || word == ".NAN") {
        value.type = kind::real;
        value.real = std::nan("");
        return value;
    }
    return std::nullopt;
}

}  // namespace

config_value resolve_plain_scalar(std::string_view text) {
    const auto resolve = [&]() -> std::optional<config_value> {
        if (auto word = resolve_word(text)) return word;
        const char first = text[0];
        if (!is_digit(first) && first != '+' && first != '-' && first != '.') return std::nullopt;
        std::string digits(text);
        std::erase(digits, '_');
        if (auto integer = resolve_integer(digits)) return integer;
        if (!looks_like_real(digits)) return std::nullopt;
        config_value value;
        value.type = kind::real;
        value.real = std::strtod(digits.c_str(), nullptr);
        return value;
    };
    config_value value = resolve().value_or(make_text({}));
    value.text = text;
    return value;
}

}  // namespace keepstore::cluster_config
