/// `Driver: S3` of a configuration.
#pragma once

#include "volumes/driver.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <expected>
#include <string>

namespace keepstore::volumes {

extern const driver s3_driver;

/// The options that this volume is opened with, for programs that use its bucket in another way. TLS.Insecure has no
/// part in them: as for the Go daemon it is for pulls only (docs/interface.md 1.6).
/// \returns the error line for wrong parameters.
[[nodiscard]] std::expected<s3_options, std::string> s3_options_of(const cluster_config::local_volume&,
                                                                   const cluster_config::collections_config& policy);

}  // namespace keepstore::volumes
