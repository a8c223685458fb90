/// Percent escapes of URLs (RFC 3986 2.1). Pure.
#pragma once

#include "base/hex.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::net {

/// Decodes percent escapes; nothing for a malformed one.
[[nodiscard]] inline std::optional<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_value(text[i + 1]);
        const int low = hex_value(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

}  // namespace keepstore::net
