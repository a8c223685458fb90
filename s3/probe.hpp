/// Tests step by step whether a bucket can be used with a configuration, and tells the operator what to do if not. The
/// steps: address, name, connection (with TLS), clock, credentials, bucket, region, and then put, get, copy and delete
/// of small objects with unique names below "keepstore-probe/", which are removed again.
///
/// Use from one coroutine; runs on its executor.
#pragma once

#include "s3/client.hpp"
#include "s3/limits.hpp"

#include <functional>
#include <memory>
#include <string>

namespace keepstore::s3 {

struct probe_line {
    enum class outcome {
        ok,
        note,    ///< Works, but should be checked.
        failed,  ///< The volume will not work, or not safely.
    } result;
    std::string step;  ///< "bucket"
    std::string text;  ///< One sentence or two; for failures with what to do. No keys, no signatures.
};

/// Formats a line for a terminal: "ok: bucket: ...", "FAILED: bucket: ...".
[[nodiscard]] std::string to_text(const probe_line& line);

using probe_output = std::function<void(const probe_line&)>;

enum class probe_extent {
    read_only,  ///< Writes nothing: for read-only volumes.
    read_and_write,
};

/// Runs the steps, and calls `out` as each one ends. Steps that depend on a failed one are skipped. Removes its objects
/// also after `until`, for up to limits::s3_probe_cleanup. \returns whether no step failed.
[[nodiscard]] awaitable<bool> probe_bucket(client_options options, std::shared_ptr<credentials_cache> keys,
                                           probe_extent extent, probe_output out, deadline until);

}  // namespace keepstore::s3
