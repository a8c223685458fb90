/// What the threads of a run share: the catalog of blocks to read, the tickets of a run by count,
/// and the switches that the main thread turns. Atomics only, but for the collection of new
/// locators.
#pragma once

#include "bench/content.hpp"
#include "bench/http_client.hpp"
#include "bench/load_options.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace keepstore::bench {

using steady = std::chrono::steady_clock;

struct stored_block {
    std::string locator;
    std::uint64_t size = 0;
    std::uint64_t number = 0;    ///< of the content source
    bool content_known = false;  ///< written by this process
};

struct load_control {
    load_control(const load_options& chosen, const content_source& source, const std::vector<stored_block>& blocks,
                 std::atomic<std::uint64_t>& numbers)
        : options(chosen),
          content(source),
          catalog(blocks),
          next_number(numbers),
          format(chosen.server, chosen.token),
          tickets(static_cast<std::int64_t>(chosen.count)) {}

    const load_options& options;
    const content_source& content;
    const std::vector<stored_block>& catalog;
    std::atomic<std::uint64_t>& next_number;  ///< of the content source; shared by all runs of the process
    const request_format format;

    std::atomic<std::uint64_t> next_read{0};
    std::atomic<std::int64_t> tickets;
    std::atomic<std::uint64_t> completed{0};  ///< measured connections only, good or failed
    std::atomic<steady::rep> last_completion{0};

    std::atomic<int> window{-1};  ///< where to count; -1: nowhere
    std::atomic<std::size_t> last_window{0};
    std::atomic<bool> clients_active{false};
    std::atomic<bool> slow_active{false};
    std::atomic<bool> draining{false};  ///< start no more operations
    std::atomic<bool> quit{false};

    /// Set before the threads start if new blocks are to be collected.
    bool collect = false;
    std::mutex collected_mutex;
    std::vector<stored_block> collected;  ///< Guarded by collected_mutex.
};

}  // namespace keepstore::bench
