/// Runs a coroutine to its end on an io_context of its own, with a limit, for tests.
/// Catch2's macros are used on the test's thread only: coroutines return values that the test checks.
#pragma once

#include "base/async.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

namespace keepstore::test {

/// An io_context that is never destroyed: a thread that resumed a coroutine may still be inside asio::post when that
/// coroutine, and the test, and the process's static objects have ended.
inline asio::io_context& new_context() {
    static std::mutex mutex;
    static auto& all = *new std::vector<std::unique_ptr<asio::io_context>>;
    const std::lock_guard lock(mutex);
    return *all.emplace_back(std::make_unique<asio::io_context>(1));
}

/// \throws std::runtime_error("timed out") when `limit` passes; whatever the coroutine throws.
template <class T>
T run(awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(60)) {
    asio::io_context& context = new_context();
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

/// Runs the context until the condition holds. \returns whether it does.
inline bool turn_until(asio::io_context& context, const std::function<bool()>& holds) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(40);
    while (!holds() && std::chrono::steady_clock::now() < limit) {
        context.restart();
        context.run_for(std::chrono::milliseconds(2));
    }
    return holds();
}

}  // namespace keepstore::test
