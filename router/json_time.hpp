/// Times in JSON responses.
#pragma once

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace keepstore::router {

/// RFC 3339, UTC, whole seconds.
inline std::string iso_time(std::chrono::system_clock::time_point at) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(at)));
}

inline nlohmann::ordered_json time_or_null(const std::optional<std::chrono::system_clock::time_point>& at) {
    return at ? nlohmann::ordered_json(iso_time(*at)) : nlohmann::ordered_json(nullptr);
}

}  // namespace keepstore::router
