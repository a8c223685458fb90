/// Request ids: "req-" and 20 random characters [0-9a-z] (docs/interface.md 2.2). They identify requests in logs and
/// are no secrets. Safe to call from any thread.
#pragma once

#include <string>

namespace keepstore::router {

/// Returns a new random id.
[[nodiscard]] std::string make_request_id();

}  // namespace keepstore::router
