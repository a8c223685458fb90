/// SIGHUP, with which an operator asks a command that works again and again to begin now. Used on the event loop.
#pragma once

#include "base/async.hpp"

#include <boost/asio/signal_set.hpp>

#include <csignal>

namespace keepstore::keepctl {

class hangup_signal {
  public:
    explicit hangup_signal(const asio::any_io_executor& loop) : signals_(loop, SIGHUP) { wait(); }
    hangup_signal(const hangup_signal&) = delete;
    hangup_signal& operator=(const hangup_signal&) = delete;

    /// Whether it has come since the last forget(). For run_frame::idle().
    [[nodiscard]] const bool& has_come() const noexcept { return has_come_; }
    void forget() noexcept { has_come_ = false; }

  private:
    // The set cancels the wait when it is destroyed; its handler may run after that.
    void wait() {
        signals_.async_wait([this](const boost::system::error_code& failed, int) {
            if (failed) return;
            has_come_ = true;
            wait();
        });
    }

    asio::signal_set signals_;
    bool has_come_ = false;
};

}  // namespace keepstore::keepctl
