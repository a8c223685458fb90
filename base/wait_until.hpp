/// Waiting for a one_shot with a deadline.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <string>
#include <utility>

namespace keepstore {

/// Waits for the value until the deadline. \returns errc::timeout with `text` when it has passed; the value is dropped
/// if it comes later.
template <class T>
[[nodiscard]] awaitable<result<T>> wait_until(one_shot<T> value, deadline until, std::string text = {}) {
    if (until.is_never() || value.ready()) co_return co_await value.wait();
    asio::steady_timer timer(co_await asio::this_coro::executor, until.at());
    timer.async_wait([value, text = std::move(text)](const boost::system::error_code& stopped) mutable {
        if (!stopped) value.set(fail(errc::timeout, std::move(text)));
    });
    co_return co_await value.wait();
}

}  // namespace keepstore
