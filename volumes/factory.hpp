/// From a configuration to volumes: the one place that knows which drivers there are. A CMake target of its own, so
/// that drivers and their tests need no configuration files. A driver is a folder with a driver.hpp, and a line in
/// factory.cpp.
#pragma once

#include "cluster_config/config.hpp"
#include "volumes/driver.hpp"

#include <expected>
#include <string>
#include <vector>

namespace keepstore::volumes {

/// The volumes that the service with this URL serves, by UUID (cluster_config::select_volumes).
/// \returns the error line if there is none, or for the first one whose driver is unknown or has wrong parameters.
[[nodiscard]] std::expected<std::vector<volume_plan>, std::string> plan_volumes(const cluster_config::cluster_settings&,
                                                                                const cluster_config::url& service_url);

/// The volume with this UUID, also if another host serves it; writable if `writes`, whatever its entry says.
/// \returns the error line if there is none, or its driver is unknown or has wrong parameters.
[[nodiscard]] std::expected<volume_plan, std::string> plan_volume(const cluster_config::cluster_settings&,
                                                                  const std::string& uuid, bool writes);

/// Warnings about the parameters of all volumes of the configuration, those of other hosts included: unknown,
/// misspelled and old names.
[[nodiscard]] std::vector<std::string> parameter_warnings(const cluster_config::cluster_settings&);

/// Writes DriverParameters with defaults and comments; nothing for an unknown driver.
void write_parameters(cluster_config::reference_writer&, const cluster_config::driver_section&);

}  // namespace keepstore::volumes
