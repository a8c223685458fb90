/// The options of the S3 driver for a bucket that a command line names.
#pragma once

#include "cluster_config/config.hpp"
#include "keepctl/cluster/place.hpp"
#include "volumes/s3/s3_volume.hpp"

namespace keepstore::keepctl {

/// `policy` says what is protected and for how long; `writes`: blocks are stored there.
[[nodiscard]] volumes::s3_options bucket_options(const bucket_place& bucket,
                                                 const cluster_config::collections_config& policy, bool writes);

}  // namespace keepstore::keepctl
