#include "volumes/cloud/attribute.hpp"

#include "base/base64.hpp"
#include "base/text.hpp"
#include "volumes/cloud/limits.hpp"

#include <cstdint>

namespace keepstore::volumes::cloud {
std::string metadata_name(std::string_view attribute, char separator) {
    std::string out;
    for (const char c : attribute) {
        out += is_alphanumeric(c) ? to_lower(c) : separator;
    }
    return out;
}

std::optional<std::string> encode_attribute(std::span<const std::byte> value) {
    auto text = encode_base64(value);
    if (text.size() > limits::cloud_metadata_bytes_max) return std::nullopt;
    return text;
}

std::optional<std::vector<std::byte>> decode_attribute(std::string_view text) {
    if (text.size() > limits::cloud_metadata_bytes_max) return std::nullopt;
    const auto decoded = decode_base64(text);
    if (!decoded) return std::nullopt;
    const auto bytes = std::as_bytes(std::span(*decoded));
    std::vector<std::byte> out(bytes.begin(), bytes.end());
    // One text for each value: the unused bits are zero.
    if (encode_attribute(out) != text) return std::nullopt;
    return out;
}

}  // namespace keepstore::volumes::cloud
