/// Runs a command and reads its output, for `credential_process`. Blocks: call it on a thread of a blocking_pool.
#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"

#include <cstddef>
#include <string>

namespace keepstore::s3 {

/// Runs `command` by /bin/sh without input; its error output is discarded, since it may contain secrets. The command
/// and its child processes are killed at `until`, or when its output is longer than `output_max`.
/// \returns its output if it ended with status 0; errc::timeout, errc::io_error, errc::too_large.
[[nodiscard]] result<std::string> run_process(const std::string& command, std::size_t output_max, deadline until);

}  // namespace keepstore::s3
