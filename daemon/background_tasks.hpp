/// Coroutines that run in the background until they are stopped: workers on lists, scrubs, pulls.
#pragma once

#include "base/async.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <chrono>
#include <future>
#include <list>
#include <string>

namespace keepstore::daemon {

/// Owned and used by the main thread. Every task must have ended, as wait() says, before this is destroyed.
class background_tasks {
  public:
    /// The tasks run on this event loop, which must run until they have ended.
    explicit background_tasks(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Starts `work`, with total cancellation enabled. An exception that leaves it is logged with `name`.
    void spawn(std::string name, awaitable<void> work);

    /// Cancels all tasks.
    void cancel();
    /// Waits until all have ended. \returns whether they had by `until`.
    [[nodiscard]] bool wait(std::chrono::steady_clock::time_point until);

  private:
    struct task {
        asio::cancellation_signal signal;
        std::promise<void> promise;
        std::future<void> ended;
    };
    asio::any_io_executor executor_;
    std::list<task> tasks_;  // A list: handlers refer to its elements.
};

}  // namespace keepstore::daemon
