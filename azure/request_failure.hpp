/// A response of Azure, or of another server in its place, that is no success. Part of client_core, not of the module's
/// interface.
#pragma once

#include "azure/error.hpp"
#include "base/async.hpp"
#include "cloud/request_failure.hpp"

#include <chrono>

namespace keepstore::azure {

/// Reads a response whose status is no success. Awaited in place.
/// \param skew  was added to our clock for the signature.
[[nodiscard]] awaitable<request_failure> read_failure(failed_request request, std::chrono::milliseconds skew,
                                                      net::response response);

}  // namespace keepstore::azure
