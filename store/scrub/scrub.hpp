/// The scrub: reads every stored copy now and then, so that rot is found while another copy can still repair it. One
/// task for each device (mounts of the same storage are scrubbed once), each with its own pace, place and record.
///
/// A pass begins when it is due (ScrubInterval after the last one began, or at once when that took longer), or when
/// somebody asks. One that was cut short by the end of the process goes on after the next start. It never deletes.
///
/// The tasks run on one loop, given by whoever spawns run(); the other calls are safe from any thread.
#pragma once

#include "store/block_store.hpp"
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
        std::chrono::nanoseconds interval{0};             ///< Keepstore.ScrubInterval; 0: only when asked.
        std::uint64_t rate = limits::scrub_rate_default;  ///< Keepstore.ScrubRate, bytes per second; 0: no limit.
        std::chrono::nanoseconds start_delay = limits::scrub_start_delay;
    };

    /// All arguments must outlive the scrubber.
    scrubber(block_store&, digest::engine&, options, scrub_clock&);
    ~scrubber();
    scrubber(const scrubber&) = delete;
    scrubber& operator=(const scrubber&) = delete;

    [[nodiscard]] std::size_t task_count() const noexcept;
    /// The task of one device: runs until it is cancelled, and then saves where it is.
    [[nodiscard]] awaitable<void> run(std::size_t task);

    struct start_request {
        std::string mount = {};                  ///< Empty: all of them.
        std::optional<std::uint64_t> rate = {};  ///< Until the end of the pass, instead of the configured one.
        bool fresh = false;                      ///< From the beginning, even if a pass runs or stopped half-way.
    };
    /// Starts a pass, or goes on with one that stopped; a running one gets the rate. errc::not_found: no such mount.
    [[nodiscard]] result<void> start(const start_request&);
    /// Stops what runs; it goes on when asked, or an interval later. errc::not_found: no such mount.
    [[nodiscard]] result<void> stop(std::string_view mount);

    /// One for each task, in the order of the mounts. errc::not_found: no such mount. Empty: all of them.
    [[nodiscard]] result<std::vector<scrub_status>> status(std::string_view mount = {}) const;

    /// Memory that checks hold, or calls on a volume that does not come back.
    [[nodiscard]] std::size_t memory_in_use() const;

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
    digest::engine& engine_;
    const options options_;
    scrub_clock& clock_;
    std::vector<std::unique_ptr<task>> tasks_;
};

}  // namespace keepstore::store
