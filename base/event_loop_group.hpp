/// The event loops: one io_context with one thread each, so that a session needs no locks. They run from start() until
/// stop(); work must be over by then or is abandoned.
#pragma once

#include "base/async.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <thread>
#include <vector>

namespace keepstore {

class event_loop_group {
  public:
    /// `count` loops; 0: one per processor that the process may use.
    explicit event_loop_group(unsigned count);
    ~event_loop_group();
    event_loop_group(const event_loop_group&) = delete;
    event_loop_group& operator=(const event_loop_group&) = delete;

    void start();
    void stop();

    [[nodiscard]] std::vector<asio::any_io_executor> executors() const;
    [[nodiscard]] std::size_t size() const noexcept { return loops_.size(); }

  private:
    struct loop {
        asio::io_context context{1};  // The hint drops locks that one thread does not need.
        asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
        std::thread thread;
    };
    std::vector<std::unique_ptr<loop>> loops_;
};

}  // namespace keepstore
