/// Limits how many requests are worked on at once (docs/interface.md 2.7). The others wait by priority, first come
/// first served within one; when too many wait, the last of the lowest priority is refused.
///
/// A request that waits for its own client (the client does not send or does not read) gives up its place meanwhile:
/// slow clients must not keep the others out. When it goes on it is counted again without waiting, which may put the
/// count above the limit for a while; nobody else is let in until it is back below.
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

    /// A place among the requests being worked on; given back on destruction. Used by one coroutine.
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

        /// The request waits for its client: others may go on. No effect when it does already or there is no place.
        void release_while_stalled() noexcept;
        /// The request goes on.
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

    /// A place if there is one at once.
    [[nodiscard]] std::optional<place> try_enter(int priority);

    /// Waits for a place. errc::unavailable when the queue is full (at once, or later when somebody more important
    /// comes), errc::cancelled when the caller is cancelled.
    [[nodiscard]] awaitable<result<place>> enter(int priority);

    enum class priority_class { low, normal, high };  ///< Below, at and above 0.
    static constexpr std::size_t priority_classes = 3;

    struct stats {
        bool used = false;  ///< Any request has come so far.
        std::size_t concurrent = 0;
        std::size_t stalled = 0;  ///< Not counted in concurrent: they wait for their clients.
        std::size_t concurrent_max = 0;
        std::size_t queued_max = 0;
        std::array<std::size_t, priority_classes> queued{};
        std::array<windowed_summary::stats, priority_classes> delay{};    ///< Of requests that got a place.
        std::array<windowed_summary::stats, priority_classes> timeout{};  ///< Of requests that were refused or left.
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
    void count_arrival_without_wait(int priority);
    void let_in(grants& out);
    void deliver(grants& out) noexcept;
    [[nodiscard]] std::optional<one_shot<place>> push_out();
    [[nodiscard]] static std::size_t class_of(int priority) noexcept {
        return priority < 0 ? 0 : priority == 0 ? 1 : 2;
    }

    const options options_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    bool used_ = false;
    std::size_t concurrent_ = 0;
    std::size_t stalled_ = 0;
    std::size_t queued_ = 0;
    std::map<int, std::deque<waiter>, std::greater<>> queue_;  // Highest priority first.
    std::array<windowed_summary, priority_classes> delay_;
    std::array<windowed_summary, priority_classes> timeout_;
};

}  // namespace keepstore::router
