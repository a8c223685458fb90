/// The metrics of parts that the router does not know: connections, the digest engine, scrubs, clients of other
/// servers.
#pragma once

#include "daemon/peer_clients.hpp"
#include "net/server/server.hpp"
#include "router/metrics.hpp"
#include "store/context.hpp"
#include "store/scrub/scrub.hpp"

#include <vector>

namespace keepstore::daemon {

/// Safe to call from any thread.
[[nodiscard]] std::vector<router::metrics::sample> service_metrics(const net::server&, const store::scrubber&,
                                                                   const peer_clients&, store::store_context&);

}  // namespace keepstore::daemon
