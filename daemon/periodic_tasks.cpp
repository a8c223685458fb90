#include "daemon/periodic_tasks.hpp"

#include "base/log.hpp"
#include "daemon/service_manager.hpp"
#include "router/limits.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::daemon {
namespace {

/// As the Go daemon: a renewed certificate needs no signal.
constexpr std::chrono::hours certificate_reload_interval{1};
/// docs/interface.md 2.19.
constexpr std::chrono::minutes queue_dump_interval{1};

}  // namespace

periodic_tasks::periodic_tasks(router::app& application, std::shared_ptr<net::tls_server_context> tls,
                               std::string dump_folder, std::vector<asio::any_io_executor> loops)
    : application_(application),
      tls_(std::move(tls)),
      dump_folder_(std::move(dump_folder)),
      executors_(std::move(loops)) {
    const auto now = clock::now();
    if (tls_) next_reload_ = now + certificate_reload_interval;
    if (!dump_folder_.empty()) next_dump_ = now + queue_dump_interval;
    if (const auto interval = watchdog_interval()) {
        watchdog_interval_ = *interval;
        next_watchdog_ = now;
        turned_ = std::make_shared<std::vector<std::atomic<bool>>>(executors_.size());
        for (auto& turned : *turned_) turned = true;
    }
}

periodic_tasks::clock::time_point periodic_tasks::next() const {
    return std::min({next_sample_, next_reload_, next_dump_, next_watchdog_});
}

void periodic_tasks::run_due() {
    const auto now = clock::now();
    if (now >= next_sample_) {
        application_.sample_rates();
        next_sample_ = now + limits::status_sample_interval;
    }
    if (now >= next_reload_) {
        tls_->reload();
        next_reload_ = now + certificate_reload_interval;
    }
    if (now >= next_dump_) {
        application_.dump_queue_if_busy(dump_folder_);
        next_dump_ = now + queue_dump_interval;
    }
    if (now >= next_watchdog_) {
        beat();
        next_watchdog_ = now + watchdog_interval_;
    }
}

void periodic_tasks::reload_certificates() {
    if (!tls_) {
        log::info("SIGHUP: no certificates are in use; nothing to reload");
    } else if (tls_->reload()) {
        log::info("SIGHUP: certificate and key were reloaded");
    }
}

/// Feeds the watchdog if every loop has turned since the last beat.
void periodic_tasks::beat() {
    if (std::ranges::all_of(*turned_, [](const std::atomic<bool>& turned) { return turned.load(); })) notify_alive();
    for (std::size_t i = 0; i < executors_.size(); ++i) {
        (*turned_)[i] = false;
        asio::post(executors_[i], [all = turned_, i] { (*all)[i] = true; });
    }
}

}  // namespace keepstore::daemon
