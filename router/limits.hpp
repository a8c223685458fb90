/// Limits of the router, with their reasons; see base/limits.hpp.
#pragma once

#include <cstddef>

namespace keepstore::limits {

/// Bytes of the body of an error response that go into the log (docs/interface.md 2.3).
inline constexpr std::size_t logged_body_bytes_max = 1024;

}  // namespace keepstore::limits
