/// Tests step by step whether a container can be used with a configuration, and tells the operator what to do if not.
/// The steps: address, name, connection (with TLS), clock, credentials, container, and then put, get, digest,
/// condition, metadata and delete of small blobs with unique names below "keepstore-probe/", which are removed again.
///
/// Use from one coroutine; runs on its executor.
#pragma once

#include "azure/client.hpp"
#include "cloud/probe.hpp"

namespace keepstore::azure {

/// Runs the steps, and calls `out` as each one ends. Steps that depend on a failed one are skipped. Removes its blobs
/// also after `until`, for up to limits::cloud_probe_cleanup. \returns whether no step failed.
[[nodiscard]] awaitable<bool> probe_container(client_options options, authorization how, probe_extent extent,
                                              probe_output out, deadline until);

}  // namespace keepstore::azure
