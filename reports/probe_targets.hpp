/// Chooses the buckets and containers that the probe tries, with the options that the daemon would give the driver.
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/environment.hpp"
#include "cluster_config/listen_address.hpp"
#include "volumes/azure/azure_volume.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace keepstore::reports {

struct probe_target {
    std::string uuid;  ///< Empty for a bucket that is no volume yet.
    volumes::s3_options options;
    bool writes = true;              ///< Blocks are written or trashed here.
    std::vector<std::string> notes;  ///< What the configuration says about it that deserves a look.
};

/// The services of the configuration that can be this host's: $ARVADOS_SERVICE_INTERNAL_URL, or those with an address
/// of this host. Whether their ports are free does not matter, since the daemon may be running.
[[nodiscard]] std::vector<cluster_config::url> services_of_this_host(
    const cluster_config::cluster_settings&, const cluster_config::environment&,
    const cluster_config::bind_probe& probe = cluster_config::probe_bind);

/// The S3 volumes with these UUIDs, or, if there are none, all that these services would mount.
/// \returns an error line for the operator, also if there is nothing to try.
[[nodiscard]] std::expected<std::vector<probe_target>, std::string> choose_probe_targets(
    const cluster_config::config&, std::span<const cluster_config::url> services, std::span<const std::string> uuids);

/// A bucket that is in no configuration, to be read and written.
[[nodiscard]] probe_target probe_target_of_bucket(volumes::s3_options);

struct container_target {
    volumes::azure_options options;
    bool writes = true;              ///< Blocks are written or trashed here.
    std::vector<std::string> notes;  ///< As of a probe_target.
};

/// The Azure volume with this UUID; an error line for wrong parameters; nullopt if it is no Azure volume.
[[nodiscard]] std::optional<std::expected<container_target, std::string>> find_container(const cluster_config::config&,
                                                                                         const std::string& uuid);

}  // namespace keepstore::reports
