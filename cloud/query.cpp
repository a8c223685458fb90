#include "cloud/query.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace keepstore::cloud {
namespace {

bool is_unreserved(char c) {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

}  // namespace

std::optional<std::string_view> find_value(const name_values& in, std::string_view name) {
    const auto found = std::ranges::find(in, name, &name_values::value_type::first);
    if (found == in.end()) return std::nullopt;
    return found->second;
}

std::string uri_encode(std::string_view text, encode_slash slash) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    for (const char c : text) {
        if (is_unreserved(c) || (c == '/' && slash == encode_slash::no)) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    return out;
}

std::string canonical_query(const name_values& raw) {
    name_values encoded;
    encoded.reserve(raw.size());
    for (const auto& [name, value] : raw) {
        encoded.emplace_back(uri_encode(name, encode_slash::yes), uri_encode(value, encode_slash::yes));
    }
    // After encoding: '%' sorts before letters and digits, so the order of the raw names can differ.
    std::ranges::sort(encoded);
    std::string out;
    for (const auto& [name, value] : encoded) {
        if (!out.empty()) out += '&';
        out += name;
        out += '=';
        out += value;
    }
    return out;
}

}  // namespace keepstore::cloud
