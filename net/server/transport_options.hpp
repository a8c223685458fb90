/// Options of the HTTP server. The defaults are in base/limits.hpp; tests shorten them.
#pragma once

#include "net/limits.hpp"
#include "net/server/min_throughput.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace keepstore::net {

struct transport_options {
    std::chrono::milliseconds header_timeout = limits::header_timeout;
    std::chrono::milliseconds idle_timeout = limits::idle_timeout;
    min_throughput::options rate;
    std::chrono::milliseconds stall_threshold = limits::stall_threshold;
    std::chrono::milliseconds tick = limits::transport_tick;
    std::chrono::milliseconds final_response_timeout = limits::final_response_timeout;
    std::chrono::milliseconds linger_timeout = limits::linger_timeout;
    std::chrono::milliseconds drain_idle_grace = limits::drain_idle_grace;
    /// Open connections; at most, and with 0, three quarters of RLIMIT_NOFILE, the rest being for blocks and volumes.
    std::size_t connections_max = 0;
    int backlog = limits::listen_backlog;
    /// Empty: the system's choice. For benchmarks.
    std::string tcp_congestion;
};

}  // namespace keepstore::net
