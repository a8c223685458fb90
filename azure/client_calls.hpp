/// What the operations of azure::client have in common: headers of requests, and what responses are checked for. Not
/// part of the module's interface.
#pragma once

#include "azure/client.hpp"
#include "azure/client_core.hpp"

#include <memory>

namespace keepstore::azure {

/// Runs a call whose response has no result. Awaited in place.
[[nodiscard]] awaitable<result<void>> run_plain(std::shared_ptr<client_core> core, call c, deadline until);

/// Whether a success is one; the error otherwise.
using change_check = result<void> (*)(const net::response& response);

/// Runs a call that changes a blob. Awaited in place. \returns ETag and dates.
[[nodiscard]] awaitable<result<put_result>> run_change(std::shared_ptr<client_core> core, call c, deadline until,
                                                       change_check confirms = nullptr);

/// Adds x-ms-meta- headers. errc::bad_request for names and values that Azure does not take (put_options::metadata).
[[nodiscard]] result<void> add_metadata(name_values& headers, const name_values& metadata);

/// Adds If-Match, If-None-Match and If-Unmodified-Since.
void add_condition(name_values& headers, const condition& only);

}  // namespace keepstore::azure
