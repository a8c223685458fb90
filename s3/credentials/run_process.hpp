/// Runs a command and takes its output, for `credential_process`. Blocks: call it on a thread of a blocking_pool.
#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"

#include <cstddef>
#include <string>

namespace keepstore::s3 {

/// Runs `command` by /bin/sh with no input; its error output goes nowhere, since it may hold secrets. The command and
/// what it started are killed at `until`, or when its output is longer than `output_max`.
/// \returns its output if it ended with status 0; errc::timeout, errc::io_error, errc::too_large.
[[nodiscard]] result<std::string> run_process(const std::string& command, std::size_t output_max, deadline until);

}  // namespace keepstore::s3
