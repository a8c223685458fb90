/// Opens the volume that a configuration describes. The one place that knows which drivers there are; a target of its
/// own, so that drivers and their tests need no configuration files.
#pragma once

#include "cluster_config/config.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <expected>
#include <memory>
#include <string>

namespace keepstore::volumes {

using opened_volume = std::expected<std::unique_ptr<volume>, std::string>;

/// Looks at the file system, so it may block; whether a bucket can be used shows soon after, in the log and in
/// readiness. S3 volumes judge what is in their trash by `policy`. \returns what is wrong, as one line for the
/// operator.
[[nodiscard]] opened_volume open_volume(const cluster_config::local_volume&,
                                        const cluster_config::collections_config& policy);

/// What the S3 driver is opened with. TLS.Insecure has no part in it: as for the Go daemon it is for pulls only
/// (docs/interface.md 1.6).
[[nodiscard]] s3_options make_s3_options(const cluster_config::local_volume&, const cluster_config::s3_parameters&,
                                         const cluster_config::collections_config& policy);

}  // namespace keepstore::volumes
