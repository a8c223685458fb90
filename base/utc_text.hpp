/// Times as text. Pure, whatever the time zone of the process is: fmt's own formatter of time points asks for it.
#pragma once

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <string>

namespace keepstore {

/// RFC 3339, UTC, whole seconds: "2026-01-31T00:00:00Z".
[[nodiscard]] inline std::string utc_text(std::chrono::sys_seconds at) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(at)));
}

}  // namespace keepstore
