/// The requests being handled: for /_inspect/requests, the age gauges and the queue dump (docs/interface.md 2.19, 6.2),
/// and to find a request's place in the limiter when its client stalls. Entries live in the handlers' coroutine frames.
///
/// Safe to use from any thread. What an entry refers to (head, remote address, request id) does not change while it
/// exists.
#pragma once

#include "net/server/server_exchange.hpp"
#include "router/limiter.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace keepstore::router {

class request_table {
  public:
    class entry {
      public:
        entry(request_table&, net::server_exchange&, std::string_view request_id);
        ~entry();
        entry(const entry&) = delete;
        entry& operator=(const entry&) = delete;

        /// Marks the request as abandoned: its client has gone while the handler still runs.
        void mark_abandoned() noexcept;

        /// Used on the request's own loop only.
        limiter::place place;

      private:
        friend class request_table;
        request_table& table_;
        net::server_exchange& ex_;
        std::string_view request_id_;
        std::atomic<std::chrono::steady_clock::duration::rep> abandoned_at_{0};  // Of the steady clock; 0: not.
    };

    /// Returns the entry of a request, or null. Call on the request's own loop.
    [[nodiscard]] entry* find(const net::server_exchange&) noexcept;

    /// Returns the JSON array of /_inspect/requests, youngest first, with secrets redacted.
    [[nodiscard]] std::string to_json() const;

    struct ages {
        double active_seconds = 0;     ///< Of the oldest request with a connected client.
        double abandoned_seconds = 0;  ///< Since the earliest disconnect of a client whose handler still runs.
    };
    [[nodiscard]] ages oldest() const;

  private:
    // Sharded by the exchange's address, so that loops rarely contend.
    struct alignas(64) shard {
        mutable std::mutex mutex;
        std::unordered_map<const net::server_exchange*, entry*> entries;  // Guarded by mutex.
    };
    [[nodiscard]] shard& shard_of(const net::server_exchange& ex) noexcept {
        // Low bits are alignment; exchanges are a few hundred bytes apart at least.
        return shards_[(reinterpret_cast<std::uintptr_t>(&ex) >> 8) % shards_.size()];
    }
    std::array<shard, 16> shards_;
};

}  // namespace keepstore::router
