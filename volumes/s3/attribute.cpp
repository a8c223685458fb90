#include "volumes/s3/attribute.hpp"

#include "s3/sigv4.hpp"
#include "volumes/s3/limits.hpp"

#include <cstdint>

namespace keepstore::volumes::s3 {
namespace {

std::optional<std::uint32_t> digit(char c) {
    if (c >= 'A' && c <= 'Z') return static_cast<std::uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'z') return static_cast<std::uint32_t>(c - 'a' + 26);
    if (c >= '0' && c <= '9') return static_cast<std::uint32_t>(c - '0' + 52);
    if (c == '+') return 62;
    if (c == '/') return 63;
    return std::nullopt;
}

}  // namespace

std::string metadata_name(std::string_view attribute) {
    std::string out;
    for (const char c : attribute) {
        if (c >= 'A' && c <= 'Z')
            out += static_cast<char>(c + ('a' - 'A'));
        else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out += c;
        else
            out += '-';
    }
    return out;
}

std::optional<std::string> encode_attribute(std::span<const std::byte> value) {
    auto text = keepstore::s3::base64({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
    if (text.size() > limits::s3_metadata_bytes_max) return std::nullopt;
    return text;
}

std::optional<std::vector<std::byte>> decode_attribute(std::string_view text) {
    if (text.size() % 4 != 0 || text.size() > limits::s3_metadata_bytes_max) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    std::vector<std::byte> out;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        const auto value = digit(c);
        if (!value) return std::nullopt;
        bits = (bits << 6U) | *value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out.push_back(static_cast<std::byte>((bits >> held) & 0xffU));
        }
    }
    if ((bits & ((1U << held) - 1U)) != 0) return std::nullopt;
    return out;
}

}  // namespace keepstore::volumes::s3
