/// The values of the status page that the router does not know: connections, the digest engine, memory of pulls.
#pragma once

#include "daemon/peer_clients.hpp"
#include "digest/engine.hpp"
#include "net/server/server.hpp"
#include "router/status_page/status_values.hpp"

namespace keepstore::daemon {

/// Safe to call from any thread.
[[nodiscard]] router::service_values service_values(const net::server&, const digest::engine&, const peer_clients&);

}  // namespace keepstore::daemon
