/// The state of a volume, computed from the progress of its calls (base/blocking_pool.hpp), their outcomes, and probes.
/// Kept for reads and writes apart. docs/volume-health.md explains the design.
///
///              a call runs for more than 2 s
///   ┌─────────┐ ─────────────────────────────► ┌──────┐   no call and no probe makes progress
///   │ HEALTHY │                                │ SLOW │ ─────────────────────────────────────┐
///   └─────────┘ ◄───────────────────────────── └──────┘                                      ▼
///     │  │  ▲      that call has ended            ▲          a probe works, older      ┌─────────┐
///     │  │  │                                     └─────────  calls still hang ─────── │ STALLED │
///     │  │  └──── a call ends or moves, a probe works ──────────────────────────────── └─────────┘
///     │  └────── calls pending and none moves for 1 s, or a probe hangs for 2 s ──────────────▲
///     │
///     ├── 3 calls in a row fail, and a probe fails, too ───► FAILING ──┐
///     ├── the root is not there, or is another directory ──► GONE ─────┤
///     └◄───────────── a probe works, or (FAILING) a call transfers data ┘
///
///   Where several apply the last of this order counts: healthy, slow, failing, stalled, gone.
///
/// The volume owns a tracker; its calls, and the probes on their own threads, report to it. Safe to use from any
/// thread.
#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "volumes/volume.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace keepstore::volumes {

enum class traffic : unsigned char { reads, writes };

class health_tracker {
  public:
    /// What the pool of threads says of one kind of traffic.
    struct activity {
        std::chrono::milliseconds silence{};
        bool slow = false;
        bool stalled = false;
    };

    /// A call transferred data, or synced it: opens and look-ups prove nothing, since the kernel has them in memory.
    void call_worked(traffic) noexcept;
    /// A call failed. Only I/O errors count: others are responses, or limits of our own.
    void call_failed(traffic, const error&);

    /// Whether a probe of this traffic is due, given the pool's activity.
    [[nodiscard]] bool probe_due(traffic, const activity&) const;
    void probe_began(traffic) noexcept;
    /// errc::not_found: the storage is gone.
    void probe_ended(traffic, const result<void>& outcome);
    /// The storage is not there any more. A probe of reads that works ends that.
    void found_gone(const error&);

    [[nodiscard]] bool gone() const noexcept { return gone_.load(std::memory_order_relaxed); }
    [[nodiscard]] volume_state state(traffic, const activity&) const noexcept;
    /// Empty for a state that works, or the reason.
    [[nodiscard]] std::string text(const activity& reads, const activity& writes) const;

  private:
    using clock = deadline::clock;
    struct side {
        std::atomic<unsigned> failures{0};  ///< In a row.
        std::atomic<bool> failing{false};
        std::atomic<clock::rep> probing_since{0};  ///< 0: no probe runs.
        std::string trouble;                       ///< Guarded by mutex_.
    };
    [[nodiscard]] side& of(traffic t) noexcept { return sides_[static_cast<std::size_t>(t)]; }
    [[nodiscard]] const side& of(traffic t) const noexcept { return sides_[static_cast<std::size_t>(t)]; }
    [[nodiscard]] bool probe_hangs(traffic) const noexcept;

    std::array<side, 2> sides_;
    std::atomic<bool> gone_{false};
    mutable std::mutex mutex_;
    std::string why_gone_;  ///< Guarded by mutex_.
};

/// Calls a function at intervals on a thread of its own. A call that hangs delays the next one and is abandoned, with
/// its thread, at the end: it must own everything that it touches.
class probe_thread {
  public:
    /// Without a thread there are no probes: then the volume's calls alone say how it is.
    probe_thread(std::string name, std::chrono::milliseconds interval, std::function<void()> probe);
    /// Waits a moment for a probe that runs.
    ~probe_thread();
    probe_thread(const probe_thread&) = delete;
    probe_thread& operator=(const probe_thread&) = delete;

  private:
    struct shared {
        std::mutex mutex;
        std::condition_variable changed;
        bool stopping = false;  ///< Guarded by mutex.
        bool ended = false;     ///< Guarded by mutex.
    };
    std::shared_ptr<shared> shared_ = std::make_shared<shared>();
};

}  // namespace keepstore::volumes
