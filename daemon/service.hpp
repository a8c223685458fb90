/// The running daemon: builds everything below it from the configuration, wires it, serves until it is told to stop,
/// and takes it down in order (stop accepting, readiness says no, finish what runs, cancel the rest, stop the workers).
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/listen_address.hpp"

#include <expected>
#include <string>

namespace keepstore::daemon {

/// Serves until SIGTERM or SIGINT. SIGHUP re-reads certificate and key. Call on the main thread, before any other
/// thread was started. \returns one line for the operator when it could not start.
[[nodiscard]] std::expected<void, std::string> run_service(const cluster_config::config&,
                                                           const cluster_config::listen_address&);

/// Blocks the signals that run_service waits for, in this thread and all that it starts.
void block_signals();

}  // namespace keepstore::daemon
