/// Opens the volumes that this host serves.
#pragma once

#include "daemon/signals.hpp"
#include "store/mount.hpp"
#include "volumes/driver.hpp"

#include <expected>
#include <string>
#include <vector>

namespace keepstore::daemon {

/// Opens one mount per volume and announces it in the log ("started volume ..."). Looks at the file systems, so it may
/// block; whether a bucket can be used shows soon after, in the log and in readiness.
/// \returns the error line for the first volume that cannot be served.
[[nodiscard]] std::expected<std::vector<store::mount>, std::string> open_mounts(
    const std::vector<volumes::volume_plan>&, signals&);

}  // namespace keepstore::daemon
