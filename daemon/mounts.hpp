/// Opens the volumes that this host serves.
#pragma once

#include "daemon/config.hpp"
#include "keepstore/mount.hpp"

#include <expected>
#include <string>
#include <vector>

namespace keepstore::daemon {

/// One mount per volume, each announced in the log ("started volume ..."). Looks at the file systems, so it may block.
/// \returns what is wrong with the first volume that cannot be served.
[[nodiscard]] std::expected<std::vector<core::mount>, std::string> open_mounts(const std::vector<local_volume>&);

}  // namespace keepstore::daemon
