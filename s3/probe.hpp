/// Says in plain words whether a bucket can be used with a configuration, step by step, and what to do if not: for
/// operators, before the daemon depends on it. The steps: address, name, connection (with TLS), clock, credentials,
/// bucket, region, and then put, get, copy and delete of small objects under a name of their own below
/// "keepstore-probe/", which are removed again.
///
/// Use from one coroutine; runs on its executor.
#pragma once

#include "s3/client.hpp"

#include <functional>
#include <memory>
#include <string>

namespace keepstore::s3 {

struct probe_line {
    enum class outcome {
        ok,
        note,    ///< Works, but is worth a look.
        failed,  ///< The volume will not work, or not safely.
    } result;
    std::string step;  ///< "bucket"
    std::string text;  ///< One sentence or two; for failures with what to do. No keys, no signatures.
};

/// "ok: bucket: ..." as a line of a terminal; what failed begins with "FAILED".
[[nodiscard]] std::string to_text(const probe_line& line);

using probe_output = std::function<void(const probe_line&)>;

enum class probe_extent {
    read_only,  ///< Nothing is written: for volumes that are only read.
    read_and_write,
};

/// Calls `out` for each step as it ends. Steps that need a failed one are left out. Test objects are also removed when
/// `until` has passed, for which it takes up to limits::s3_probe_cleanup longer.
/// \returns whether nothing failed.
[[nodiscard]] awaitable<bool> probe_bucket(client_options options, std::shared_ptr<credentials_cache> keys,
                                           probe_extent extent, probe_output out, deadline until);

}  // namespace keepstore::s3
