/// `Driver: Directory` of a configuration.
#pragma once

#include "volumes/directory/directory_volume.hpp"
#include "volumes/driver.hpp"

#include <expected>
#include <string>

namespace keepstore::volumes {

extern const driver directory_driver;

/// The options that this volume is opened with. \returns the error line for wrong parameters.
[[nodiscard]] std::expected<directory_options, std::string> directory_options_of(const cluster_config::local_volume&);

}  // namespace keepstore::volumes
