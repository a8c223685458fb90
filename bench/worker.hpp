/// One thread of the load generator: its connections, its epoll loop, its timers, its counters.
#pragma once

#include "bench/connection.hpp"
#include "bench/load_control.hpp"
#include "bench/load_stats.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <queue>
#include <vector>

namespace keepstore::bench {

inline constexpr std::size_t window_count = 2;

class worker {
  public:
    /// Makes its share of all connections: every `of`-th from `index` on.
    worker(load_control& control, unsigned index, unsigned of);
    ~worker();
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;

    /// The thread's body; returns after load_control::quit.
    void run();

    /// After run() has returned.
    [[nodiscard]] const window_stats& stats(std::size_t window) const { return windows_[window]; }
    [[nodiscard]] const std::array<std::uint64_t, role_count>& open_at_end() const { return open_at_end_; }
    /// Of each of our clients: body bytes within the last window.
    [[nodiscard]] const std::vector<std::uint64_t>& client_bytes() const { return client_bytes_; }

    // For connections, on the worker's thread.
    load_control& control() { return control_; }
    int epoll() const { return epoll_; }
    std::vector<char>& scratch() { return scratch_; }
    std::uint64_t random() { return mix64(random_++); }
    /// The counters of the current window, or nullptr outside of one.
    window_stats* current();
    void wake_at(connection* target, steady::time_point when) { timers_.push({when, target}); }
    /// The address for a new socket: the system's choice, or one of several when the ports of one
    /// would run short.
    in_addr next_source();

  private:
    struct timer {
        steady::time_point when;
        connection* target;
        bool operator<(const timer& other) const { return when > other.when; }
    };

    void add(role purpose, unsigned how_many, double rate, unsigned index, unsigned of);
    void start_roles(bool slow);
    void conclude();
    int run_timers(steady::time_point now);

    load_control& control_;
    int epoll_;
    std::uint64_t random_;
    std::vector<char> scratch_;
    std::vector<std::unique_ptr<connection>> connections_;
    std::priority_queue<timer> timers_;
    std::array<window_stats, window_count> windows_;
    std::array<std::uint64_t, role_count> open_at_end_{};
    std::vector<std::uint64_t> client_bytes_;
    std::uint32_t sources_used_ = 0;
};

}  // namespace keepstore::bench
