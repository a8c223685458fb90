#include "base/base64.hpp"

#include "base/text.hpp"

#include <openssl/evp.h>

namespace keepstore {

std::string encode_base64(std::span<const std::byte> bytes) {
    std::string out((bytes.size() + 2) / 3 * 4, '\0');
    // EVP_EncodeBlock writes a terminating zero, for which a std::string has room.
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                    static_cast<int>(bytes.size()));
    return out;
}

// By hand: EVP_DecodeBlock tolerates white space, and returns the padding as zeros.
std::optional<std::string> decode_base64(std::string_view text, base64_alphabet alphabet) {
    const std::string_view last = alphabet == base64_alphabet::standard ? "+/" : "-_";
    const auto digit = [&](char c) -> int {
        if (is_lower(c)) return c - 'a' + 26;
        if (is_letter(c)) return c - 'A';
        if (is_digit(c)) return c - '0' + 52;
        if (c == last[0]) return 62;
        if (c == last[1]) return 63;
        return -1;
    };
    if (text.size() % 4 != 0) return std::nullopt;
    for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
    std::string out;
    out.reserve(text.size() / 4 * 3 + 2);
    unsigned bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        const int value = digit(c);
        if (value < 0) return std::nullopt;
        bits = bits << 6 | static_cast<unsigned>(value);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out += static_cast<char>(bits >> held & 0xff);
        }
    }
    return out;
}

}  // namespace keepstore
