/// Tests step by step whether a bucket can be used with a configuration, and tells the operator what to do if not. The
/// steps: address, name, connection (with TLS), clock, credentials, bucket, region, and then put, get, copy and delete
/// of small objects with unique names below "keepstore-probe/", which are removed again.
///
/// Use from one coroutine; runs on its executor.
#pragma once

#include "cloud/probe.hpp"
#include "s3/client.hpp"

#include <memory>

namespace keepstore::s3 {

/// Runs the steps, and calls `out` as each one ends. Steps that depend on a failed one are skipped. Removes its objects
/// also after `until`, for up to limits::cloud_probe_cleanup. \returns whether no step failed.
[[nodiscard]] awaitable<bool> probe_bucket(client_options options, std::shared_ptr<credentials_cache> keys,
                                           probe_extent extent, probe_output out, deadline until);

}  // namespace keepstore::s3
