/// Work at intervals, begun by the main thread while it waits for signals: samples for the status page, certificates,
/// the queue dump, the watchdog. Files are read and written on a thread of its own: on a file system that hangs they
/// must keep the main thread neither from the watchdog nor from a signal.
#pragma once

#include "base/blocking_pool.hpp"
#include "net/tls/tls_server_context.hpp"
#include "router/app.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
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
    periodic_tasks(router::app& application, std::shared_ptr<net::tls_server_context> tls,
                   std::filesystem::path dump_folder, std::vector<asio::any_io_executor> loops);

    /// When run_due() is wanted next.
    [[nodiscard]] clock::time_point next() const;
    void run_due();
    /// SIGHUP.
    void reload_certificates();

  private:
    void beat();
    void dump_queue();
    void use_files(std::move_only_function<void()> call);

    router::app& application_;
    std::shared_ptr<net::tls_server_context> tls_;
    std::filesystem::path dump_folder_;
    std::vector<asio::any_io_executor> executors_;
    /// One per event loop: it has turned since the last beat. Shared with the loops' handlers.
    std::shared_ptr<std::vector<std::atomic<bool>>> turned_;
    blocking_pool files_;
    clock::duration watchdog_interval_{};
    clock::time_point next_sample_ = clock::now();
    clock::time_point next_reload_ = clock::time_point::max();
    clock::time_point next_dump_ = clock::time_point::max();
    clock::time_point next_watchdog_ = clock::time_point::max();
};

}  // namespace keepstore::daemon
