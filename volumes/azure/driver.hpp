/// `Driver: Azure` of a configuration.
#pragma once

#include "volumes/azure/azure_volume.hpp"
#include "volumes/driver.hpp"

#include <expected>
#include <string>

namespace keepstore::volumes {

extern const driver azure_driver;

/// The options that this volume is opened with, for programs that use its container in another way.
/// \returns the error line for wrong parameters.
[[nodiscard]] std::expected<azure_options, std::string> azure_options_of(const cluster_config::local_volume&,
                                                                         const cluster_config::collections_config&);

}  // namespace keepstore::volumes
