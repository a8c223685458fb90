/// Waiting for a one_shot with a deadline.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"

namespace keepstore {

/// Waits for the value until the deadline. \returns errc::timeout with `text`, a literal, when it has passed; the value
/// is dropped if it comes later.
template <class T>
[[nodiscard]] awaitable<result<T>> wait_until(const one_shot<T>& value, deadline until, const char* text = "") {
    return value.wait(until, text);
}

}  // namespace keepstore
