/// The options of the S3 driver for a configured volume: one place for the daemon and for the operator's probe.
#pragma once

#include "cluster_config/config.hpp"
#include "volumes/s3/s3_volume.hpp"

namespace keepstore::daemon {

/// TLS.Insecure has no part in them: as for the Go daemon it is for pulls only (contract 1.6).
[[nodiscard]] volumes::s3_options make_s3_options(const local_volume&, const s3_parameters&, const collections_config& policy);

}  // namespace keepstore::daemon
