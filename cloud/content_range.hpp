/// The Content-Range header of a 206 (RFC 9110 14.4). Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::cloud {

struct content_range {
    std::uint64_t first;
    std::uint64_t last;
    std::optional<std::uint64_t> total;  ///< Absent: the server does not know it.
};

/// Parses "bytes 0-9/1000" and "bytes 0-9/*". nullopt for anything else.
[[nodiscard]] std::optional<content_range> parse_content_range(std::string_view text);

}  // namespace keepstore::cloud
