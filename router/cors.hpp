/// The cross-origin headers that every answer of the keepstore routes carries (docs/interface.md 2.18); what the
/// service wrapper answers itself (limiter, health, inspect, metrics) has none.
#pragma once

#include "net/server/server_exchange.hpp"

namespace keepstore::router {

void set_cors_headers(net::server_exchange&);

}  // namespace keepstore::router
