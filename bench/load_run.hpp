/// A run: threads, warm-up, one or two measured windows, and the server's cost in each.
#pragma once

#include "bench/load_control.hpp"
#include "bench/load_stats.hpp"
#include "bench/proc_stats.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::bench {

/// Difference of two readings, and the peaks of the samples between them.
struct server_cost {
    double user_seconds = 0;
    double system_seconds = 0;
    std::uint64_t rss_start_bytes = 0;
    std::uint64_t rss_peak_bytes = 0;  ///< VmHWM, reset at the window's start where the kernel lets us; else sampled
    std::uint64_t rss_anon_peak_bytes = 0;  ///< sampled
    std::uint64_t threads_peak = 0;
    std::uint64_t descriptors_peak = 0;
};

/// All TCP sockets of the machine, both ends of loopback connections (/proc/net/sockstat).
struct socket_memory {
    std::uint64_t sockets_peak = 0;
    std::uint64_t bytes_peak = 0;
};

struct window_result {
    std::string name;
    double seconds = 0;
    double client_cpu_seconds = 0;
    window_stats stats;
    std::optional<server_cost> server;
    socket_memory sockets;
};

struct load_result {
    std::vector<window_result> windows;
    std::array<std::uint64_t, role_count> open_at_end{};
    /// Of each client connection: body bytes within the last window. Ascending.
    std::vector<std::uint64_t> client_bytes;
};

/// Runs to the end and joins its threads. Uses `control` once.
load_result run_load(load_control& control);

}  // namespace keepstore::bench
