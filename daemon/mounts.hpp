/// Opens the volumes that this host serves.
#pragma once

#include "cluster_config/config.hpp"
#include "store/mount.hpp"

#include <expected>
#include <string>
#include <vector>

namespace keepstore::daemon {

/// One mount per volume, each announced in the log ("started volume ..."). Looks at the file systems, so it may block;
/// whether a bucket can be used shows soon after, in the log and in readiness. S3 volumes judge what is in their trash
/// by `policy`.
/// \returns what is wrong with the first volume that cannot be served.
[[nodiscard]] std::expected<std::vector<store::mount>, std::string> open_mounts(
    const std::vector<cluster_config::local_volume>& volumes, const cluster_config::collections_config& policy);

}  // namespace keepstore::daemon
