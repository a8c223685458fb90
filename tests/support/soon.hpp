/// The deadline of calls that a test expects to end.
#pragma once

#include "base/deadline.hpp"

#include <chrono>

namespace keepstore::test {

/// A deadline that no call reaches, even on a busy machine and under a sanitizer.
inline deadline soon() {
    return deadline::in(std::chrono::seconds(40));
}

}  // namespace keepstore::test
