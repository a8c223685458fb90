/// The clocks and the sleep of a scrub; tests replace them. Safe to use from any thread.
#pragma once

#include "base/async.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>

namespace keepstore::store {

class scrub_clock {
  public:
    virtual ~scrub_clock() = default;

    [[nodiscard]] virtual std::chrono::steady_clock::time_point now() const { return std::chrono::steady_clock::now(); }
    [[nodiscard]] virtual std::chrono::system_clock::time_point wall() const {
        return std::chrono::system_clock::now();
    }

    /// \returns false if the caller was cancelled.
    [[nodiscard]] virtual awaitable<bool> sleep(std::chrono::steady_clock::duration time) {
        asio::steady_timer timer(co_await asio::this_coro::executor, time);
        const auto [stopped] = co_await expiry(timer);
        co_return !stopped;
    }
};

}  // namespace keepstore::store
