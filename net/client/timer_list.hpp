/// Waits with a time limit, all of one event loop checked by one coarse tick (limits::net_tick): no timer per wait.
///
/// Used on the executor of the loop only. The list outlives its waiters.
#pragma once

#include "base/async.hpp"
#include "net/limits.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>

namespace keepstore::net {

using steady = std::chrono::steady_clock;

/// How a wait ended.
enum class waited {
    ready,
    expired,    ///< Its time limit has passed.
    cancelled,  ///< The coroutine was cancelled.
    woken,      ///< By timed_waiter::wake().
};

class timed_waiter;

class timer_list {
  public:
    /// `housekeeping` is called by ticks and returns when it wants to be called again (time_point::max(): never).
    timer_list(const asio::any_io_executor& executor,
               std::function<steady::time_point(steady::time_point)> housekeeping);
    ~timer_list();
    timer_list(const timer_list&) = delete;
    timer_list& operator=(const timer_list&) = delete;

    /// Requests a tick at `when`, for housekeeping.
    void want_tick(steady::time_point when);
    /// Ends all ticks: the io_context is being destroyed. The list may be destroyed after it.
    void stop();

  private:
    friend class timed_waiter;
    void arm(steady::time_point when);
    void tick();

    asio::io_context* const context_;          ///< Null if the executor is something else.
    std::optional<asio::steady_timer> timer_;  ///< Empty once stopped.
    const std::function<steady::time_point(steady::time_point)> housekeeping_;
    std::list<timed_waiter*> waiters_;
    bool busy_ = false;  ///< A waiter was made since the last tick.
    bool armed_ = false;
    steady::time_point next_;
    /// Timer handlers hold it weakly: those of an earlier round find it gone.
    std::shared_ptr<int> round_;
};

/// One coroutine's waits, one at a time.
class timed_waiter {
  public:
    using socket_type = asio::ip::tcp::socket;

    explicit timed_waiter(timer_list& list);
    ~timed_waiter();
    timed_waiter(const timed_waiter&) = delete;
    timed_waiter& operator=(const timed_waiter&) = delete;

    /// Suspends until the socket is ready, `due` has passed, or the caller is cancelled. Awaited in place.
    [[nodiscard]] awaitable<waited> wait(socket_type& socket, socket_type::wait_type what, steady::time_point due);

    /// The same for a value. After expired and cancelled the value is dropped. Awaited in place.
    template <class T>
    [[nodiscard]] awaitable<waited> wait(const one_shot<T>& value, std::optional<T>& into, steady::time_point due) {
        const auto before = co_await asio::this_coro::cancellation_state;
        if (before.cancelled() != asio::cancellation_type::none) co_return waited::cancelled;
        begin(due, [](const void* p) { static_cast<const one_shot<T>*>(p)->set(fail(errc::timeout)); }, &value);
        auto outcome = co_await value.wait();
        end();
        if (outcome) {
            into.emplace(std::move(*outcome));
            co_return waited::ready;
        }
        co_return outcome.error() == errc::timeout ? waited::expired : waited::cancelled;
    }

    /// Ends the wait for a socket under way, if there is one.
    void wake();

  private:
    friend class timer_list;
    using interrupt_type = void (*)(const void*);

    void begin(steady::time_point due, interrupt_type, const void* target);
    void end() noexcept { interrupt_ = nullptr; }

    timer_list& list_;
    std::list<timed_waiter*>::iterator place_;
    steady::time_point due_;
    interrupt_type interrupt_ = nullptr;  ///< Null: not waiting.
    const void* target_ = nullptr;
    socket_type* socket_ = nullptr;  ///< Of the wait under way, if it is for a socket.
    bool expired_ = false;
    bool woken_ = false;
};

}  // namespace keepstore::net
