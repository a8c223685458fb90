/// Times as text. Independent of the time zone of the process and of the locale. Compiled once: fmt's formatter of
/// times takes 23 KB in each unit that uses it.
#pragma once

#include <chrono>
#include <string>

namespace keepstore {

/// RFC 3339, UTC, whole seconds: "2026-01-31T00:00:00Z". For a time whose year no `int` holds, the seconds since 1970.
[[nodiscard]] std::string utc_text(std::chrono::sys_seconds at);

/// The same, rounded down.
[[nodiscard]] inline std::string utc_text(std::chrono::system_clock::time_point at) {
    return utc_text(std::chrono::floor<std::chrono::seconds>(at));
}

/// As HTTP headers have it (RFC 9110 section 5.6.7): "Wed, 12 Oct 2009 17:50:00 GMT".
[[nodiscard]] std::string format_http_date(std::chrono::sys_seconds at);

}  // namespace keepstore
