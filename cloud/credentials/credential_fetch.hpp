/// A thread with an event loop for fetching credentials, from the first fetch until the cache closes. A fetch is not
/// tied to its waiters: their event loops may end (a volume's with the volume, a probe's with its command), and they
/// may time out (a probe after a second and a half), while it goes on.
#pragma once

#include "base/async.hpp"
#include "cloud/credentials/credentials.hpp"
#include "cloud/limits.hpp"

#include <functional>
#include <memory>
#include <thread>

namespace keepstore::cloud {

/// Must not be used from its own thread.
class fetch_loop {
  public:
    fetch_loop() = default;
    /// Ends the thread. Call cancel() successfully before, and end all other threads that could resume a coroutine of
    /// the loop, such as those that read files.
    ~fetch_loop();
    fetch_loop(const fetch_loop&) = delete;
    fetch_loop& operator=(const fetch_loop&) = delete;

    /// Starts `work`, which owns what it uses. One at a time. Calls `done` with its outcome, on the loop; an exception
    /// becomes errc::io_error. \throws std::system_error if the thread cannot be started; `done` is not called then.
    void start(awaitable<result<credentials>> work, std::move_only_function<void(result<credentials>)> done);

    /// Cancels running work and waits for its end. \returns false if it still hangs after
    /// limits::credentials_stop_wait: its thread is then detached and never ends (the process is exiting).
    [[nodiscard]] bool cancel();

  private:
    struct loop;

    std::shared_ptr<loop> loop_;
    std::thread thread_;
};

}  // namespace keepstore::cloud
