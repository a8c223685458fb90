/// Attributes of blocks as metadata of objects, in base64. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::volumes::cloud {

/// In lower case, and with `separator` for each other character: S3 takes what proxies accept in a header's name, Azure
/// identifiers of C#.
[[nodiscard]] std::string metadata_name(std::string_view attribute, char separator);

/// nullopt if it would be more than services accept.
[[nodiscard]] std::optional<std::string> encode_attribute(std::span<const std::byte> value);
/// nullopt for any text that encode_attribute does not produce.
[[nodiscard]] std::optional<std::vector<std::byte>> decode_attribute(std::string_view text);

}  // namespace keepstore::volumes::cloud
