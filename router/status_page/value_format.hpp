/// The texts of values on the status page. page.js has the same rules for the values that it fills in later. Pure
/// functions.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace keepstore::router {

/// Formats: text, number (1,234), bytes (1.50 GiB), rate (bytes per second), per_second, seconds (a latency), duration,
/// percent (of a ratio), time (of an ISO 8601 text). A null is a dash.
[[nodiscard]] std::string format_value(std::string_view format, const nlohmann::ordered_json& value);

}  // namespace keepstore::router
