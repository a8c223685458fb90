/// Limits of the process's start and end, with their reasons; see base/limits.hpp.
#pragma once

#include "base/limits.hpp"
#include "net/limits.hpp"

#include <chrono>

namespace keepstore::limits {

// --- start -----------------------------------------------------------------------------------------------------------
/// A step of the start that takes longer is named in the log: a FIFO or a file on a silent volume looks like nothing
/// else. An ordinary start takes 50 ms ...
inline constexpr seconds start_step_notice{2};
/// ... and again at this interval.
inline constexpr seconds start_step_notice_again{30};

// --- end -------------------------------------------------------------------------------------------------------------
/// After the drain, for workers, memory and threads to end. Then the process ends without them: a call on a volume that
/// hangs, or a lookup by a silent name server, cannot be ended. The process ends within DrainTimeout and a second.
inline constexpr milliseconds stop_wait{500};
/// From the first SIGTERM, in addition to DrainTimeout: whatever the main thread does.
inline constexpr milliseconds stop_margin{650};
static_assert(stop_margin + log_flush_wait < seconds(1));
static_assert(2 * drain_cancel_grace < stop_margin);

}  // namespace keepstore::limits
