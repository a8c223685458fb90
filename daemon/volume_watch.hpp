/// Logs each change of the state of a volume, with the mount (docs/volume-health.md). It looks at intervals, so that a
/// volume that changes back and forth quickly does not fill the log.
#pragma once

#include "base/async.hpp"
#include "store/mount.hpp"

namespace keepstore::daemon {

/// Runs until it is cancelled. `mounts` outlives it.
[[nodiscard]] awaitable<void> watch_volumes(const store::mount_table& mounts);

}  // namespace keepstore::daemon
