/// Times in JSON responses.
#pragma once

#include "base/utc_text.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <optional>

namespace keepstore::router {

inline nlohmann::ordered_json time_or_null(const std::optional<std::chrono::system_clock::time_point>& at) {
    return at ? nlohmann::ordered_json(utc_text(*at)) : nlohmann::ordered_json(nullptr);
}

}  // namespace keepstore::router
