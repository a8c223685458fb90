/// Work that the main thread does at intervals while it waits for signals: samples for the status page, certificates,
/// the queue dump, the watchdog.
#pragma once

#include "net/tls/tls_server_context.hpp"
#include "router/app.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::daemon {

/// Used by the main thread only.
class periodic_tasks {
  public:
    using clock = std::chrono::steady_clock;

    /// `tls` may be nullptr. An empty `dump_folder` means no queue dump. `loops` are the event loops that the watchdog
    /// watches. `application` must outlive this.
    periodic_tasks(router::app& application, std::shared_ptr<net::tls_server_context> tls, std::string dump_folder,
                   std::vector<asio::any_io_executor> loops);

    /// When run_due() is wanted next.
    [[nodiscard]] clock::time_point next() const;
    void run_due();
    /// SIGHUP.
    void reload_certificates();

  private:
    void beat();

    router::app& application_;
    std::shared_ptr<net::tls_server_context> tls_;
    std::string dump_folder_;
    std::vector<asio::any_io_executor> executors_;
    /// One per event loop: it has turned since the last beat. Shared with the loops' handlers.
    std::shared_ptr<std::vector<std::atomic<bool>>> turned_;
    clock::duration watchdog_interval_{};
    clock::time_point next_sample_ = clock::now();
    clock::time_point next_reload_ = clock::time_point::max();
    clock::time_point next_dump_ = clock::time_point::max();
    clock::time_point next_watchdog_ = clock::time_point::max();
};

}  // namespace keepstore::daemon
