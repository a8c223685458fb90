/// A group of event loops: io_contexts with one thread each, so that a coroutine needs no lock for state of its loop.
/// Safe to use from any thread, but for start() and stop().
#pragma once

#include "base/async.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace keepstore {

/// Number of processors that the process may use (its affinity), at least 1.
[[nodiscard]] unsigned usable_processors() noexcept;

class event_loop_group {
  public:
    /// `count` loops, or as many as the system lets have threads; these are named "name/0", "name/1" ... (Linux shows
    /// 15 characters). \throws std::system_error if there is no thread at all.
    event_loop_group(const std::string& name, unsigned count);
    /// Stops.
    ~event_loop_group();
    event_loop_group(const event_loop_group&) = delete;
    event_loop_group& operator=(const event_loop_group&) = delete;

    /// Lets the loops run. Once.
    void start();
    /// Ends the loops and waits for their threads; coroutines that have not ended are abandoned, and destroyed with the
    /// group. Not from a loop. May be called again.
    void stop();

    [[nodiscard]] std::vector<asio::any_io_executor> executors() const;
    /// Gives the loops in turn.
    [[nodiscard]] asio::any_io_executor next_executor() noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return loops_.size(); }

  private:
    struct loop {
        asio::io_context context{1};  // The hint drops locks that one thread does not need.
        asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
        std::thread thread;
    };

    std::vector<std::unique_ptr<loop>> loops_;  ///< Constant after construction.
    std::latch begin_{1};                       ///< The threads wait for it before they run their loops.
    bool begun_ = false;

    std::atomic<std::size_t> next_{0};
};

}  // namespace keepstore
