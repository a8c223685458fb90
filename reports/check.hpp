/// The report of -check: what this host would serve under a configuration, and what is wrong. Reads the file system
/// (volume roots, certificate, key) and tries the listen address, by the steps of the start itself (start_plan.hpp);
/// changes nothing.
#pragma once

#include "cluster_config/listen_address.hpp"
#include "cluster_config/loader.hpp"

#include <expected>
#include <string>

namespace keepstore::reports {

struct check_report {
    std::string text;   ///< Lines for stdout. Holds no secret.
    int exit_code = 0;  ///< 1 when the daemon would not start, or a volume would not work.
};

/// `loaded` is the result of load_config.
[[nodiscard]] check_report check_host(const std::expected<cluster_config::config, std::string>& loaded,
                                      const cluster_config::environment& env,
                                      const cluster_config::bind_probe& probe = cluster_config::probe_bind);

}  // namespace keepstore::reports
