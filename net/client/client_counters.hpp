/// The counters from which client_stats is made. Relaxed: for metrics only.
#pragma once

#include "net/client/client_stats.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace keepstore::net {

class counter {
  public:
    void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    void sub(std::uint64_t n = 1) noexcept { value_.fetch_sub(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

struct client_counters {
    counter in_use, idle, waiting;
    counter opened, reused, idle_dropped, requests, responses, waits, wait_microseconds, stale_retries, redirects, sent,
        received;
    std::array<counter, failure_count> failures;

    void note(failure f) noexcept { failures[static_cast<std::size_t>(f)].add(); }

    [[nodiscard]] client_stats snapshot() const {
        client_stats s{.connections_in_use = in_use.get(),
                       .connections_idle = idle.get(),
                       .waiting = waiting.get(),
                       .connections_opened = opened.get(),
                       .connections_reused = reused.get(),
                       .idle_dropped = idle_dropped.get(),
                       .requests = requests.get(),
                       .responses = responses.get(),
                       .waits = waits.get(),
                       .wait_microseconds = wait_microseconds.get(),
                       .stale_retries = stale_retries.get(),
                       .redirects = redirects.get(),
                       .bytes_sent = sent.get(),
                       .bytes_received = received.get()};
        for (std::size_t i = 0; i < failure_count; ++i) s.failures[i] = failures[i].get();
        return s;
    }
};

}  // namespace keepstore::net
