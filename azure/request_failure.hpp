/// A response of Azure, or of another server in its place, that is no success. Part of client_core, not of the module's
/// interface.
#pragma once

#include "azure/op_stats.hpp"
#include "base/async.hpp"
#include "cloud/request_failure.hpp"

#include <chrono>

namespace keepstore::azure {

struct failed_request {
    operation op;
    bool is_head;                          ///< The response has no body.
    std::chrono::milliseconds local_time;  ///< Our clock when it was sent, roughly.
    std::chrono::milliseconds skew;        ///< Was added to it for the signature.
};

/// Reads a response whose status is no success. Awaited in place.
[[nodiscard]] awaitable<cloud::request_failure> read_failure(failed_request request, net::response response);

}  // namespace keepstore::azure
