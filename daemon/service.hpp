/// The running daemon: builds all parts from the configuration, serves until a signal stops it, and takes the parts
/// down in order (stop accepting, readiness says no, finish running requests, cancel the rest, stop the workers).
#pragma once

#include "cluster_config/config.hpp"
#include "daemon/inherited_socket.hpp"
#include "daemon/signals.hpp"
#include "reports/start_plan.hpp"

#include <expected>
#include <string>

namespace keepstore::daemon {

/// Serves as `plan` says, which has no problems, on `socket` if there is one, until SIGTERM or SIGINT. SIGHUP reads
/// certificate and key again. Call on the main thread. \returns one line for the operator if it could not start.
[[nodiscard]] std::expected<void, std::string> run_service(const cluster_config::config&, reports::start_plan& plan,
                                                           inherited_socket& socket, signals&);

}  // namespace keepstore::daemon
