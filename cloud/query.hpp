/// Names and values, and how they are written into URLs. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::cloud {

/// Headers, query parameters or metadata, in this order.
using name_values = std::vector<std::pair<std::string, std::string>>;

/// Returns the value of the first entry of this name; nullopt if there is none.
[[nodiscard]] std::optional<std::string_view> find_value(const name_values& in, std::string_view name);

enum class encode_slash { yes, no };
/// Percent-encodes (RFC 3986): everything but A-Z a-z 0-9 - . _ ~ becomes %XX (upper case), as AWS requires it for
/// signatures. In paths '/' is not encoded.
[[nodiscard]] std::string uri_encode(std::string_view text, encode_slash slash);

/// Encodes names and values, sorts them by encoded name and value, and joins them: "a=b&c=". To be sent as it is.
[[nodiscard]] std::string canonical_query(const name_values& raw);

}  // namespace keepstore::cloud
