/// Attributes of blocks as user metadata of their markers: base64 in "x-amz-meta-NAME". Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::volumes::s3 {

/// In lower case, and with '-' for each character that proxies may reject in a header's name.
[[nodiscard]] std::string metadata_name(std::string_view attribute);

/// nullopt if it would be more than S3 accepts.
[[nodiscard]] std::optional<std::string> encode_attribute(std::span<const std::byte> value);
/// nullopt for any text that encode_attribute does not produce.
[[nodiscard]] std::optional<std::vector<std::byte>> decode_attribute(std::string_view text);

}  // namespace keepstore::volumes::s3
