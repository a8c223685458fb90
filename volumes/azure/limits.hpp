/// Limits of Azure volumes alone, with their reasons; see base/limits.hpp.
#pragma once

#include "volumes/cloud/limits.hpp"

#include <chrono>

namespace keepstore::limits {

/// Defaults of the Go daemon (docs/interface.md 1.14).
inline constexpr minutes azure_request_timeout{10};
inline constexpr seconds azure_list_retry_delay{10};
inline constexpr unsigned azure_list_attempts_max = 12;
inline constexpr seconds azure_write_race_interval{15};
inline constexpr seconds azure_write_race_poll_time{1};
/// A change of a blob's metadata that met another one looks again. Each round, another request has changed the blob;
/// after the last one the service is not asked once more.
inline constexpr int azure_change_attempts_max = 5;

}  // namespace keepstore::limits
