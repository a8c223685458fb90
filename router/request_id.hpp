/// Request ids: "req-" and 20 random characters [0-9a-z] (docs/interface.md 2.2). They name requests in logs; they are
/// no secret. Safe to call from any thread.
#pragma once

#include <string>

namespace keepstore::router {

[[nodiscard]] std::string make_request_id();

}  // namespace keepstore::router
