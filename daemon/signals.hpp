/// The signals that end the process or make it reload: SIGTERM and SIGINT stop it, SIGHUP reads certificates again,
/// SIGUSR1 is ignored. A thread of its own takes them, from the start on, so that they are noticed whatever the main
/// thread waits for: a FIFO, a volume that hangs, a destructor.
///
///   starting ──► serving ──► stopping
///
///   starting   SIGTERM ends the process at once, with exit code 0. A step that takes long is named in the log.
///   serving    wait() returns the signals to the main thread.
///   stopping   The first SIGTERM has come. A second one ends the process at once, and so does the end of the time that
///              serving() and end_within() gave, also with exit code 0: what still runs then does not respond.
#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace keepstore::daemon {

/// Used by the main thread only. Its thread runs until the process has ended.
class signals {
  public:
    using clock = std::chrono::steady_clock;

    /// Blocks the signals in this thread and all that it starts, ignores SIGPIPE and SIGXFSZ, and starts the thread.
    /// Call before any other thread is started. \throws std::system_error if there is no thread.
    signals();

    /// Names what the start does now, for example "opening volume X".
    void starting(std::string step);
    /// The start is complete. `stop_limit` is the time from the first SIGTERM to the end of the process.
    void serving(clock::duration stop_limit);
    /// Waits for a signal. \returns its number, or 0 when `until` has passed.
    [[nodiscard]] int wait(clock::time_point until);
    /// Ends the process when `limit` has passed, or earlier if serving() said so. Call in the phase stopping.
    void end_within(clock::duration limit);

  private:
    struct shared;
    std::shared_ptr<shared> shared_;  // With the thread.
};

}  // namespace keepstore::daemon
