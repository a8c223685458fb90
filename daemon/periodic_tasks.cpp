#include "daemon/periodic_tasks.hpp"

#include "base/log.hpp"
#include "base/service_manager.hpp"
#include "router/limits.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

namespace keepstore::daemon {
namespace {

/// As the Go daemon: a renewed certificate needs no signal.
constexpr std::chrono::hours certificate_reload_interval{1};
/// docs/interface.md 2.19.
constexpr std::chrono::minutes queue_dump_interval{1};

void write_dump(const std::filesystem::path& path, const std::string& requests) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << requests;
    file.close();
    if (!file) log::warning("cannot write the list of current requests", {{"path", path.string()}});
}

}  // namespace

periodic_tasks::periodic_tasks(router::app& application, std::shared_ptr<net::tls_server_context> tls,
                               std::filesystem::path dump_folder, std::vector<asio::any_io_executor> loops)
    : application_(application),
      tls_(std::move(tls)),
      dump_folder_(std::move(dump_folder)),
      executors_(std::move(loops)),
      files_({.name = "files", .threads_max = 1, .queue_max = 1}) {
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
        use_files([tls = tls_] { tls->reload(); });
        next_reload_ = now + certificate_reload_interval;
    }
    if (now >= next_dump_) {
        dump_queue();
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
        return;
    }
    use_files([tls = tls_] {
        if (tls->reload()) log::info("SIGHUP: certificate and key were reloaded");
    });
}

void periodic_tasks::dump_queue() {
    auto requests = application_.queue_dump_if_busy();
    if (!requests) return;
    use_files(
        [path = dump_folder_ / "keepstore-requests.json", text = std::move(*requests)] { write_dump(path, text); });
}

void periodic_tasks::use_files(std::move_only_function<void()> call) {
    if (files_.post(std::move(call))) return;
    log::warning(
        "certificates are not read, or current requests not written: an earlier attempt still waits for its files, or "
        "no thread can be made");
}

/// Feeds the watchdog if every loop has turned since the last beat.
void periodic_tasks::beat() {
    if (std::ranges::all_of(*turned_, [](const std::atomic<bool>& turned) { return turned.load(); })) notify_alive();
    for (std::size_t i = 0; i < executors_.size(); ++i) {
        (*turned_)[i] = false;
        run_later(executors_[i], [all = turned_, i] { (*all)[i] = true; });
    }
}

}  // namespace keepstore::daemon
