/// The signals that the daemon waits for: SIGTERM and SIGINT stop it, SIGHUP reads certificates again, SIGUSR1 is
/// ignored.
#pragma once

#include <chrono>

namespace keepstore::daemon {

/// Blocks these signals in this thread and all that it starts, and ignores SIGPIPE and SIGXFSZ. Call before any other
/// thread is started.
void block_signals();

/// Waits until one of them comes. \returns its number, or 0 when `until` has passed (at most an hour from now).
[[nodiscard]] int wait_for_signal(std::chrono::steady_clock::time_point until);

}  // namespace keepstore::daemon
