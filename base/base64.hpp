/// Base64 with padding (RFC 4648). Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace keepstore {

enum class base64_alphabet {
    standard,  ///< With + and /.
    url,       ///< With - and _.
};

[[nodiscard]] std::string encode_base64(std::span<const std::byte> bytes);

/// nullopt for other characters, white space included, and missing or misplaced padding. Unused bits may have any
/// value.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text,
                                                       base64_alphabet alphabet = base64_alphabet::standard);

}  // namespace keepstore
