/// The running daemon: builds all parts from the configuration, serves until a signal stops it, and takes the parts
/// down in order (stop accepting, readiness says no, finish running requests, cancel the rest, stop the workers).
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/listen_address.hpp"
#include "daemon/signals.hpp"

#include <expected>
#include <string>

namespace keepstore::daemon {

/// Serves until SIGTERM or SIGINT. SIGHUP reads certificate and key again. Call on the main thread. \returns one
/// line for the operator if it could not start.
[[nodiscard]] std::expected<void, std::string> run_service(const cluster_config::config&,
                                                           const cluster_config::listen_address&, signals&);

}  // namespace keepstore::daemon
