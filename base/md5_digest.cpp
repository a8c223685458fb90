#include "base/md5_digest.hpp"

#include "base/hex.hpp"

namespace keepstore {

std::string md5_digest::hex() const {
    return to_hex(bytes);
}

std::optional<md5_digest> md5_digest::parse(std::string_view hex) {
    if (hex.size() != 32 || !is_lower_hex(hex)) return std::nullopt;
    md5_digest out;
    for (std::size_t i = 0; i < out.bytes.size(); ++i) {
        out.bytes[i] = static_cast<std::uint8_t>(hex_value(hex[2 * i]) * 16 + hex_value(hex[2 * i + 1]));
    }
    return out;
}

}  // namespace keepstore
