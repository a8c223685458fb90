/// The most severe level that lines of the log show; apart from log.hpp, since one program needs it.
#pragma once

#include "base/log.hpp"

namespace keepstore::log {

/// Shows more severe lines at this level. For a program whose exit code must agree with the errors that it prints: the
/// layers that log do not know whether a failure of theirs is one of the program. Safe to call from any thread.
void set_ceiling(level most_severe) noexcept;

}  // namespace keepstore::log
