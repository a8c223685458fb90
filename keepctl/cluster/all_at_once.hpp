/// The same call for several things at once, such as a request to each server.
#pragma once

#include "base/when_all.hpp"

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

/// Awaits call(0) to call(count - 1) concurrently; each returns an awaitable<T>. Awaited in place.
/// \returns what they returned, in this order; errc::cancelled.
template <class Call, class T = typename std::invoke_result_t<Call&, std::size_t>::value_type>
[[nodiscard]] awaitable<result<std::vector<T>>> all_at_once(std::size_t count, Call call) {
    std::vector<T> out(count);
    std::vector<awaitable<void>> calls;
    for (std::size_t i = 0; i < count; ++i) calls.push_back(keep_outcome(call(i), out[i]));
    if (co_await when_all(std::move(calls))) co_return fail(errc::cancelled);
    co_return out;
}

/// Runs `count` coroutines of `work`, which take their work from the same place. Awaited in place.
/// \returns whether the caller was cancelled.
template <class Work>
[[nodiscard]] awaitable<bool> run_workers(std::size_t count, Work work) {
    std::vector<awaitable<void>> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(work());
    co_return co_await when_all(std::move(all));
}

}  // namespace keepstore::keepctl
