/// The scrubber: reads every stored copy periodically, to find latent sector errors and bit rot while another copy can
/// still repair them.
///
/// A latent sector error is one that goes unnoticed until the sector is read, and most blocks of an archive are hardly
/// ever read. So the second copy of a block can fail before the failure of the first is known, and the block is lost.
/// Such errors are not rare (L. Bairavasundaram et al., An Analysis of Latent Sector Errors in Disk Drives, SIGMETRICS
/// 2007, counts them on 1.53 million disks): they are searched for, not waited for.
///
/// There is one task for each device (mounts of the same storage are scrubbed once), each with its own rate, position
/// and record. A pass begins when it is due (ScrubInterval after the last one began, or at once when that took longer)
/// or on request. One that the end of the process cut short goes on after the next start. It never deletes.
///
///     starting ── checkpoint loaded ──► idle | stopped | finished
///     idle, stopped, finished, failed ── due, or start() ──► running
///     running ── all steps done ──► finished (position 0)       ── stop(), or the process ends ──► stopped
///             ── the volume does not respond ──► failed          Both keep their position; the next run goes on there.
///
/// The tasks run on one loop, that of the coroutine that spawns run(); the other calls are safe from any thread.
#pragma once

#include "base/limits.hpp"
#include "pool/lease_pool.hpp"
#include "store/block_store.hpp"
#include "store/limits.hpp"
#include "store/scrub/scrub_clock.hpp"
#include "store/scrub/scrub_status.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::store {

class scrubber {
  public:
    struct options {
        std::chrono::nanoseconds interval{0};             ///< Keepstore.ScrubInterval; 0: only on request.
        std::uint64_t rate = limits::scrub_rate_default;  ///< Keepstore.ScrubRate, bytes per second; 0: no limit.
        std::chrono::nanoseconds start_delay = limits::scrub_start_delay;
    };

    /// All arguments must outlive the scrubber.
    scrubber(block_store&, options, scrub_clock&);
    ~scrubber();
    scrubber(const scrubber&) = delete;
    scrubber& operator=(const scrubber&) = delete;

    [[nodiscard]] std::size_t task_count() const noexcept;
    /// Runs the task of one device until it is cancelled; it saves its checkpoint then.
    [[nodiscard]] awaitable<void> run(std::size_t task);

    struct start_request {
        std::string mount = {};                  ///< Empty: all of them.
        std::optional<std::uint64_t> rate = {};  ///< Until the end of the pass, instead of the configured one.
        bool fresh = false;                      ///< From the beginning, even if a pass is running or was stopped.
    };
    /// Starts a pass, or continues one that was stopped; a running one gets the rate. errc::not_found: no such mount.
    [[nodiscard]] result<void> start(const start_request&);
    /// Stops running passes; they go on upon start(), or an interval later. errc::not_found: no such mount.
    [[nodiscard]] result<void> stop(std::string_view mount);

    /// One for each task, in the order of the mounts; all if `mount` is empty. errc::not_found: no such mount.
    [[nodiscard]] result<std::vector<scrub_status>> status(std::string_view mount = {}) const;

    struct memory_stats {
        pool::buffer_pool::stats checks;
        pool::buffer_pool::stats repairs;
        [[nodiscard]] std::size_t in_use_bytes() const noexcept { return checks.in_use_bytes + repairs.in_use_bytes; }
    };
    /// The pools of all devices together. In use by a scrub, or by hung calls to a volume.
    [[nodiscard]] memory_stats memory() const;

  private:
    struct task;

    [[nodiscard]] result<std::vector<task*>> find(std::string_view mount) const;
    [[nodiscard]] awaitable<void> restore(task&);
    /// \returns false if the task was cancelled.
    [[nodiscard]] awaitable<bool> wait_for_work(task&);
    [[nodiscard]] awaitable<bool> run_pass(task&);
    [[nodiscard]] awaitable<void> conclude(task&, result<void> outcome, bool leaving);
    [[nodiscard]] std::optional<scrub_time> due_after(scrub_time not_before, std::optional<scrub_time> began) const;
    void schedule(task&, scrub_time not_before);

    block_store& store_;
    const options options_;
    scrub_clock& clock_;
    std::vector<std::unique_ptr<task>> tasks_;
};

}  // namespace keepstore::store
