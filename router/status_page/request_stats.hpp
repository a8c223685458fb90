/// Counts and recent latencies of requests, by kind, for the status page. Safe to use from any thread; counting takes
/// one lock, sharded by thread.
#pragma once

#include "router/windowed_summary.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>

namespace keepstore::router {

class request_stats {
  public:
    enum class kind : unsigned char { get, put, other };
    static constexpr std::array<std::string_view, 3> kind_names{"GET", "PUT", "other"};

    struct totals {
        std::uint64_t count = 0;
        std::uint64_t refused = 0;               ///< Statuses 400 to 499.
        std::uint64_t failed = 0;                ///< Statuses from 500 on, and responses that were cut off.
        windowed_summary::stats to_status = {};  ///< From the head of the request to the status line.
        windowed_summary::stats to_end = {};     ///< To the end of the response.
    };
    using by_kind = std::array<totals, kind_names.size()>;

    struct ended_request {
        std::string_view method;
        unsigned status = 0;
        bool cut = false;
        std::chrono::steady_clock::time_point at;  ///< Its end.
        std::chrono::steady_clock::duration to_status{};
        std::chrono::steady_clock::duration to_end{};
    };
    void count(const ended_request&) noexcept;

    /// Latencies are those of the time before `now`.
    [[nodiscard]] by_kind snapshot(std::chrono::steady_clock::time_point now) const;
    /// Requests of each kind; cheaper than snapshot().
    [[nodiscard]] std::array<std::uint64_t, kind_names.size()> counts() const;

  private:
    struct series {
        std::uint64_t count = 0;
        std::uint64_t refused = 0;
        std::uint64_t failed = 0;
        windowed_summary to_status;
        windowed_summary to_end;
    };
    struct alignas(64) shard {
        mutable std::mutex mutex;
        std::array<series, kind_names.size()> kinds;  // Guarded by mutex.
    };
    [[nodiscard]] shard& my_shard() noexcept;

    // 160 KiB: each summary has 6.
    std::array<shard, 4> shards_;
};

}  // namespace keepstore::router
