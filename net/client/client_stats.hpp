/// Metrics of an HTTP client: a snapshot, whose gauges may be a moment apart from each other.
#pragma once

#include "net/client/failure.hpp"

#include <array>
#include <cstdint>

namespace keepstore::net {

struct client_stats {
    // Gauges.
    std::uint64_t connections_in_use = 0;
    std::uint64_t connections_idle = 0;
    std::uint64_t waiting = 0;  ///< Requests waiting for a connection.

    // Since the start.
    std::uint64_t connections_opened = 0;  ///< Connected, TLS included.
    std::uint64_t connections_reused = 0;  ///< Requests sent on a connection that had served another one.
    std::uint64_t idle_dropped = 0;        ///< Idle connections that we closed, or found closed.
    std::uint64_t requests = 0;            ///< Calls of send().
    std::uint64_t responses = 0;           ///< Heads of final responses.
    std::uint64_t waits = 0;               ///< Requests that had to wait for a connection.
    std::uint64_t wait_microseconds = 0;   ///< Sum over these.
    std::uint64_t stale_retries = 0;       ///< A reused connection turned out to be dead; sent again on a new one.
    std::uint64_t redirects = 0;           ///< Redirects followed.
    std::uint64_t bytes_sent = 0;          ///< Heads and bodies, without TLS.
    std::uint64_t bytes_received = 0;
    /// By failure; index 0 is unused. Failures of send() and of reading responses.
    std::array<std::uint64_t, failure_count> failures{};
};

}  // namespace keepstore::net
