/// Where credentials are fetched: a thread with an event loop of its own, from the first fetch until the cache closes.
/// A fetch belongs to nobody who waits for it: the event loops of those who want keys come and go (a volume's with the
/// volume, a probe's with its command), and callers give up (a probe after a second and a half), while the fetch should
/// go on for the next one.
#pragma once

#include "base/async.hpp"
#include "s3/credentials/credentials.hpp"

#include <functional>
#include <memory>
#include <thread>

namespace keepstore::s3 {

/// Not for use from its own thread, but for what it runs.
class fetch_loop {
  public:
    fetch_loop() = default;
    /// Ends the thread. Before, cancel() must have succeeded, and nothing may be left that could wake a coroutine of
    /// the loop: other threads, such as those that read files, must not be in the middle of that when the loop goes.
    ~fetch_loop();
    fetch_loop(const fetch_loop&) = delete;
    fetch_loop& operator=(const fetch_loop&) = delete;

    /// Starts `work`, which owns what it uses. One at a time. `done` gets its outcome, on the loop; an exception
    /// becomes errc::io_error. \throws std::system_error if there is no thread to be had; `done` is not called then.
    void start(awaitable<result<credentials>> work, std::move_only_function<void(result<credentials>)> done);

    /// Cancels the work, if there is some, and waits for its end. \returns false if it still hangs after
    /// limits::credentials_stop_wait: then it is left behind with its thread, for ever (the process is ending).
    [[nodiscard]] bool cancel();

  private:
    struct loop;

    std::shared_ptr<loop> loop_;
    std::thread thread_;
};

}  // namespace keepstore::s3
