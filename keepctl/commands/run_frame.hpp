/// Frames the work of a long command: the state folder, so that a run that was killed goes on; the stop at a signal;
/// progress, metrics and the failures file while it works. The command itself makes the summary.
///
///     run_frame frame(s);
///     frame.open_failures(); frame.open_state({...});   // The second one after the places are connected.
///     if (!frame.resumed()) frame.begin(digits);
///     co_await frame.run(engine_as_framed_work, engine.run(frame.done()));
///     const auto code = worse(judge(), frame.problem());
///     frame.close(code);
///
/// Used from the one event loop of the tool. Outlives the work.
#pragma once

#include "base/async.hpp"
#include "keepctl/cluster/block_names.hpp"
#include "keepctl/cluster/checkpoint.hpp"
#include "keepctl/commands/failure_file.hpp"
#include "keepctl/commands/metrics_file.hpp"
#include "keepctl/commands/progress.hpp"
#include "keepctl/commands/session.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

/// What a run has done so far: for its checkpoint and its metrics.
struct run_figures {
    std::vector<std::pair<std::string_view, std::uint64_t>> blocks = {};  ///< By outcome.
    std::uint64_t bytes = 0;                                              ///< Of the blocks that were copied.
    std::size_t shards_done = 0;
    std::size_t shards_total = 0;
    std::size_t shards_incomplete = 0;
    std::string more = {};  ///< Metrics of the command itself, in the text format of Prometheus.
};

/// The engine of a command, as its frame sees it. Called on the event loop, also before its work begins.
class framed_work {
  public:
    virtual ~framed_work() = default;
    [[nodiscard]] virtual run_figures figures() const = 0;
    /// `seconds` since the work began, not 0. With `as_json` one object, else text that begins with the command.
    [[nodiscard]] virtual std::string progress_line(double seconds, bool as_json) const = 0;
    /// Begins nothing new. May be called more than once.
    virtual void stop() = 0;
    [[nodiscard]] virtual bool stopped() const = 0;
    /// Number of blocks under way: after a stop the frame waits for them for limits::stop_grace, then cancels the run.
    [[nodiscard]] virtual std::size_t busy() const = 0;
    /// Whether it waits for a place that does not work, which is no reason for systemd to end it.
    [[nodiscard]] virtual bool waiting() const { return false; }
};

class run_frame {
  public:
    using clock = std::chrono::steady_clock;

    /// The session outlives it.
    explicit run_frame(session& s);
    run_frame(const run_frame&) = delete;
    run_frame& operator=(const run_frame&) = delete;

    // --- before the work ---------------------------------------------------------------------------------------------

    /// Makes the file of --failures, and forgets earlier ones: before each pass.
    [[nodiscard]] outcome<void> open_failures();
    /// Takes the lock of runs with the same `parts` (which begin with the command), and finds the checkpoint of one
    /// that did not finish, without --fresh. A run without a state has no checkpoint (--dry-run).
    [[nodiscard]] outcome<void> open_state(const std::vector<std::string>& parts);
    /// Whether the run goes on with an earlier one.
    [[nodiscard]] bool resumed() const noexcept { return resumed_; }
    /// Begins a run, cut by this many digits.
    void begin(unsigned digits);
    /// Shards of earlier runs that need not be looked at. After begin() or if resumed().
    [[nodiscard]] const shard_set& done() const { return saved_->done; }
    /// Number of shards that were done when the work began.
    [[nodiscard]] std::size_t done_before() const noexcept { return done_before_; }
    [[nodiscard]] std::chrono::sys_seconds run_started_at() const { return saved_->started_at; }

    // --- the work ----------------------------------------------------------------------------------------------------

    /// Runs the command on the session's loop. The first signal, or --timeout, stops the work, or cancels the command
    /// if there is none yet.
    [[nodiscard]] exit_code execute(awaitable<outcome<exit_code>> command);
    /// Awaits the work, and shows progress, writes checkpoint and metrics, and cancels it when it should stop and does
    /// not. `what` is what `work` works with; it outlives the call. Awaited in place.
    [[nodiscard]] awaitable<void> run(framed_work& what, awaitable<void> work);

    // A command of several passes calls run() and end_pass() for each of them.

    /// Tells systemd that the command is ready, once, and what it does. From now on its watchdog is fed while figures
    /// change, the work waits, or nothing is to be done.
    void serve(const std::string& status);
    /// Writes the metrics of a pass, and removes its checkpoint (0, 1, 4, 9) or writes it.
    void end_pass(exit_code code);
    /// Waits until the time has passed or `wake` is set. Awaited in place. \returns false when cancelled.
    [[nodiscard]] awaitable<bool> idle(std::chrono::nanoseconds time, const bool& wake);

    /// A line about the run, on stderr; a note is left out if quiet.
    void warn(std::string_view text);
    void note(std::string_view text);
    /// Counts a failed block, and writes it to the failures file. The first of each kind is shown at once.
    void failed(const block_failure& failure);
    /// Remembers a shard as done.
    void shard_done(std::size_t shard);

    // --- after it ----------------------------------------------------------------------------------------------------

    /// What went wrong with the frame itself: not_finished if the checkpoint or the failures could not be written.
    [[nodiscard]] exit_code problem() const noexcept;
    /// Removes the progress line, and closes the failures file. Before the summary is printed.
    void clear();
    /// Prints the first failures, where the others are, and how to try them again.
    void report_failures() const;
    /// As end_pass(), and says how to go on if it is not finished.
    void close(exit_code code);

  private:
    static awaitable<void> watch(run_frame* self, std::shared_ptr<bool> over);
    void save(bool now);
    void feed_watchdog(clock::time_point now, bool alive);
    void write_metrics(std::optional<exit_code> code);

    session& session_;
    const arguments& given_;
    progress progress_;
    std::optional<failure_file> failures_;
    std::set<std::string> kinds_seen_;  // Of failures: outcome and reason.
    const metrics_file metrics_;
    std::optional<checkpoint> checkpoint_;
    std::optional<saved_run> saved_;
    framed_work* work_ = nullptr;
    std::chrono::sys_seconds started_at_;
    clock::time_point began_ = clock::now();
    clock::time_point saved_at_{};
    clock::time_point metrics_due_{};
    std::optional<clock::time_point> stop_at_;
    std::optional<std::chrono::microseconds> watchdog_;  // Set by serve().
    clock::time_point watchdog_due_{};
    std::size_t done_before_ = 0;
    std::uint64_t figures_seen_ = 0;  // Their sum, when the watchdog was fed.
    bool ready_ = false;
    bool running_ = false;
    bool unsaved_ = false;
    bool resumed_ = false;
    bool state_lost_ = false;
    bool metrics_lost_ = false;
};

/// Where runs are remembered: --state-dir, $STATE_DIRECTORY, /var/lib/keepctl for root, else $XDG_STATE_HOME/keepctl.
[[nodiscard]] std::string state_folder_of(const arguments& given);

/// The command line of a run that goes on with this one, for a shell: without --fresh.
[[nodiscard]] std::string command_to_go_on(const arguments& given);

}  // namespace keepstore::keepctl
