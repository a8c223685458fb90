/// Dates as object stores write them: HTTP dates (RFC 9110 section 5.6.7) in headers, ISO 8601 in XML and JSON. All to
/// the second: fractions are cut off, as the Go daemon's index does. Times that
/// nanoseconds since 1970 cannot express (after April 2262) become the nearest one that they can.
#pragma once

#include "base/utc_text.hpp"

#include <chrono>
#include <optional>
#include <string_view>

namespace keepstore::cloud {

using keepstore::format_http_date;
using std::chrono::sys_seconds;

/// Parses "Wed, 12 Oct 2009 17:50:00 GMT". The weekday is not checked against the date; only GMT (or UTC) is accepted.
[[nodiscard]] std::optional<sys_seconds> parse_http_date(std::string_view text) noexcept;

/// Parses "2009-10-12T17:50:30.000Z", with or without a fraction; "+00:00" and other offsets are accepted, too.
[[nodiscard]] std::optional<sys_seconds> parse_iso_date(std::string_view text) noexcept;

}  // namespace keepstore::cloud
