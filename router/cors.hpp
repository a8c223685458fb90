/// The cross-origin headers of all responses of the keepstore routes (docs/interface.md 2.18). Responses of the outer
/// layers (limiter, health, inspect, metrics) have none.
#pragma once

#include "net/server/server_exchange.hpp"

namespace keepstore::router {

/// Adds them to the response.
void set_cors_headers(net::server_exchange&);

}  // namespace keepstore::router
