/// What an HTTP client has done so far, for metrics.
#pragma once

#include "base/counter.hpp"
#include "net/client/failure.hpp"

#include <array>
#include <cstddef>

namespace keepstore::net {

struct client_counters : counter_set {
    // Gauges.
    counter connections_in_use;
    counter connections_idle;
    counter waiting;  ///< Requests waiting for a connection.

    // Since the start.
    counter connections_opened{*this, "keepstore_outgoing_connections_total", "Connections opened to other servers."};
    counter connections_reused{*this, "keepstore_outgoing_connections_reused_total",
                               "Requests on a connection that had served another one."};
    counter idle_dropped;  ///< Idle connections that we closed, or found closed.
    counter requests{*this, "keepstore_outgoing_requests_total", "Requests to other servers."};
    counter responses;          ///< Heads of final responses.
    counter waits;              ///< Requests that had to wait for a connection.
    counter wait_microseconds;  ///< Sum over these.
    counter stale_retries{*this, "keepstore_outgoing_stale_retries_total",
                          "Requests sent again because a kept connection was dead."};
    counter redirects;   ///< Redirects followed.
    counter bytes_sent;  ///< Heads and bodies, without TLS.
    counter bytes_received{*this, "keepstore_outgoing_received_bytes_total", "Bytes received from other servers."};
    /// By failure; index 0 is unused. Failures of send() and of reading responses. `closed` and such included.
    std::array<counter, failure_count> failures;

    void note(failure f) noexcept { failures[static_cast<std::size_t>(f)].add(); }
};

}  // namespace keepstore::net
