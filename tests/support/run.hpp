/// Runs a coroutine to its end on an io_context of its own, with a limit, for tests.
/// Catch2's macros are used on the test's thread only: coroutines return values that the test checks.
#pragma once

#include "base/async.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>

namespace keepstore::test {

/// \throws std::runtime_error("timed out") when `limit` passes; whatever the coroutine throws.
template <class T>
T run(awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(20)) {
    asio::io_context context(1);
    std::exception_ptr thrown;
    bool finished = false;
    if constexpr (std::is_void_v<T>) {
        asio::co_spawn(context, std::move(work), [&](std::exception_ptr e) {
            thrown = e;
            finished = true;
        });
        context.run_for(limit);
        if (!finished) throw std::runtime_error("timed out");
        if (thrown) std::rethrow_exception(thrown);
    } else {
        std::optional<T> value;
        asio::co_spawn(context, std::move(work), [&](std::exception_ptr e, T v) {
            thrown = e;
            if (!e) value.emplace(std::move(v));
            finished = true;
        });
        context.run_for(limit);
        if (!finished) throw std::runtime_error("timed out");
        if (thrown) std::rethrow_exception(thrown);
        return std::move(*value);
    }
}

}  // namespace keepstore::test
