/// Limits the number of concurrent requests (docs/interface.md 2.7): a semaphore with priorities. Waiters are served by
/// priority, first come first served within one; when too many wait, the last of the lowest priority is refused.
///
/// A stalled request (its client does not send or does not read) releases its place meanwhile, so that slow clients do
/// not block the others. When it continues it is counted again without waiting, which may put the count above the limit
/// for a while; no waiter is admitted until it is back below.
///
/// The wait list is its own, not base/async_semaphore.hpp: it is ordered by priority, and drops waiters when it is
/// full.
///
/// Safe to use from any thread; a waiter resumes on its own executor.
#pragma once

#include "base/async.hpp"
#include "router/windowed_summary.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::router {

class limiter {
  public:
    struct options {
        std::size_t concurrent_max = 0;  ///< API.MaxConcurrentRequests; 0: no limit.
        std::size_t queued_max = 0;      ///< API.MaxQueuedRequests.
    };

    /// A place among the concurrent requests; released on destruction. Used by one coroutine.
    class place {
      public:
        place() = default;
        place(place&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), stalled_(std::exchange(other.stalled_, false)) {}
        place& operator=(place&& other) noexcept {
            std::swap(owner_, other.owner_);
            std::swap(stalled_, other.stalled_);
            return *this;
        }
        ~place();

        /// Releases the place until resume(): the request waits for its client. No effect if stalled or empty.
        void release_while_stalled() noexcept;
        /// Takes the place back without waiting: the client is ready again. No effect unless stalled.
        void resume() noexcept;

        [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }

      private:
        friend class limiter;
        explicit place(limiter* owner) noexcept : owner_(owner) {}
        limiter* owner_ = nullptr;
        bool stalled_ = false;
    };

    explicit limiter(options o) : options_(o) {}
    limiter(const limiter&) = delete;
    limiter& operator=(const limiter&) = delete;

    /// Returns a place if one is free; never waits.
    [[nodiscard]] std::optional<place> try_enter(int priority);

    /// Waits for a place. errc::unavailable when the queue is full (at once, or later because of a request with a
    /// higher priority), errc::cancelled when the caller is cancelled. A cancelled waiter leaves the queue.
    [[nodiscard]] awaitable<result<place>> enter(int priority);

    enum class priority_class { low, normal, high };  ///< Below, at and above 0.
    static constexpr std::size_t priority_classes = 3;

    struct stats {
        std::size_t concurrent = 0;
        std::size_t stalled = 0;  ///< Requests that wait for their clients; not counted in concurrent.
        std::size_t concurrent_max = 0;
        std::size_t queued_max = 0;
        std::array<std::size_t, priority_classes> queued{};
        std::array<windowed_summary::stats, priority_classes> delay{};  ///< Of requests that got a place.
        std::array<windowed_summary::stats, priority_classes>
            timeout{};  ///< Of requests that were refused or cancelled.
    };
    [[nodiscard]] stats snapshot() const;

  private:
    using clock = std::chrono::steady_clock;
    struct waiter {
        one_shot<place> got;
        clock::time_point since;
    };
    using grants = std::vector<one_shot<place>>;

    [[nodiscard]] bool has_room() const noexcept {
        return options_.concurrent_max == 0 || concurrent_ < options_.concurrent_max;
    }
    void count_immediate_entry(int priority);
    void admit_waiters(grants& out);
    void deliver(grants& out) noexcept;
    [[nodiscard]] std::optional<one_shot<place>> evict_last();
    [[nodiscard]] static std::size_t class_of(int priority) noexcept {
        return priority < 0 ? 0 : priority == 0 ? 1 : 2;
    }

    const options options_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::size_t concurrent_ = 0;
    std::size_t stalled_ = 0;
    std::size_t queued_ = 0;
    std::map<int, std::deque<waiter>, std::greater<>> queue_;  // Highest priority first.
    std::array<windowed_summary, priority_classes> delay_;
    std::array<windowed_summary, priority_classes> timeout_;
};

}  // namespace keepstore::router
