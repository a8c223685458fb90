/// Reads standard input without blocking the event loop, so that signals and --timeout end the wait for a person or a
/// pipe.
#pragma once

#include "base/async.hpp"
#include "base/error.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace keepstore::keepctl {

/// Reads up to into.size() bytes of the descriptor, which stays the caller's. \returns 0 at the end; errc::cancelled.
/// Regular files, for which nothing waits, are read at once. Awaited in place.
[[nodiscard]] awaitable<result<std::size_t>> read_some(int descriptor, std::span<std::byte> into);

/// Reads a line, without its end; what follows it in the same piece is dropped. Empty at the end of the input.
[[nodiscard]] awaitable<result<std::string>> read_line(int descriptor);

}  // namespace keepstore::keepctl
