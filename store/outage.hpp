/// Tells a volume that does not respond from a copy that is bad. Safe to use from any thread.
#pragma once

#include "base/error.hpp"

namespace keepstore::store {

/// Returns whether a failed read says nothing about the copy: the volume was down or overloaded, or a deadline passed.
/// Wrong bytes and errors of the disk are of the copy.
[[nodiscard]] inline bool is_outage(const error& why) noexcept {
    return why == errc::timeout || why == errc::unavailable;
}

}  // namespace keepstore::store
