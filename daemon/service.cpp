#include "daemon/service.hpp"

#include "base/event_loop_group.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "daemon/flags.hpp"
#include "daemon/mounts.hpp"
#include "daemon/peer_clients.hpp"
#include "daemon/service_manager.hpp"
#include "digest/engine.hpp"
#include "net/server/server.hpp"
#include "net/tls/tls_server_context.hpp"
#include "pool/buffer_pool.hpp"
#include "router/app.hpp"
#include "router/scrub_report.hpp"
#include "store/block_store.hpp"
#include "store/lists/trash_worker.hpp"
#include "store/scrub/scrub.hpp"
#include "volumes/factory.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <csignal>
#include <deque>
#include <future>
#include <iterator>
#include <list>
#include <thread>

namespace keepstore::daemon {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto certificate_reload_interval = 1h;  // As the Go daemon: a renewed certificate needs no signal.
constexpr auto queue_dump_interval = 1min;        // docs/interface.md 2.19.

sigset_t waited_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, number);
    return set;
}

// Connections and block files need descriptors; the soft limit is often 1024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// Background coroutines of the core, on one of the loops; ended by stop().
class background_tasks {
  public:
    explicit background_tasks(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    void spawn(std::string name, awaitable<void> work) {
        auto& task = tasks_.emplace_back();
        task.ended = task.promise.get_future();
        asio::co_spawn(executor_, std::move(work),
                       asio::bind_cancellation_slot(task.signal.slot(), [&task, name](std::exception_ptr thrown) {
                           if (thrown) log::error("background task failed", {{"task", name}});
                           task.promise.set_value();
                       }));
    }

    // Cancels all and waits, up to `limit` together. \returns whether all have ended.
    bool stop(clock::duration limit) {
        for (auto& task : tasks_) asio::post(executor_, [&task] { task.signal.emit(asio::cancellation_type::total); });
        const auto until = clock::now() + limit;
        bool all = true;
        for (auto& task : tasks_) {
            if (task.ended.wait_until(until) == std::future_status::ready) continue;
            log::warning("a background task does not end");
            all = false;
        }
        return all;
    }

  private:
    struct task {
        asio::cancellation_signal signal;
        std::promise<void> promise;
        std::future<void> ended;
    };
    asio::any_io_executor executor_;
    std::list<task> tasks_;
};

net::transport_options transport(const cluster_config::config& conf) {
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    const auto& ours = conf.cluster.keepstore;
    net::transport_options out;
    out.header_timeout = duration_cast<milliseconds>(ours.header_timeout);
    out.idle_timeout = duration_cast<milliseconds>(ours.idle_timeout);
    out.rate.bytes_per_second_min = ours.min_transfer_rate;
    out.rate.window = duration_cast<milliseconds>(ours.min_transfer_rate_period);
    out.connections_max = static_cast<std::size_t>(std::max<std::int64_t>(0, ours.connections_max));
    out.backlog = static_cast<int>(ours.listen_backlog);
    return out;
}

store::block_store::options store_options(const cluster_config::config& conf) {
    const auto& c = conf.cluster.collections;
    return {.blob_signing = c.blob_signing,
            .blob_signing_key = c.blob_signing_key,
            .protect_for = c.blob_signing_ttl,
            .blob_trash = c.blob_trash,
            .trash_lifetime = c.blob_trash_lifetime};
}

double unix_seconds(std::chrono::system_clock::time_point at) {
    return std::chrono::duration<double>(at.time_since_epoch()).count();
}

router::app_options application_options(const cluster_config::config& conf) {
    const auto& cluster = conf.cluster;
    router::app_options out;
    out.system_root_token = cluster.system_root_token;
    out.management_token = cluster.management_token;
    out.limits.concurrent_max = static_cast<std::size_t>(std::max<std::int64_t>(0, cluster.api.requests_max));
    out.limits.queued_max = static_cast<std::size_t>(std::max<std::int64_t>(0, cluster.api.queued_requests_max));
    out.request_timeout = cluster.api.request_timeout;
    out.about = {.version = version_text(),
                 .config_sha256 = conf.sha256,
                 .config_source_seconds = unix_seconds(conf.timestamp),
                 .config_load_seconds = unix_seconds(std::chrono::system_clock::now())};
    return out;
}

// What the router does not know of, or knows only below the application: connections and the digest engine.
std::vector<router::metrics::sample> more_metrics(const net::server& server, const digest::engine& digest,
                                                  const store::scrubber& scrub, const peer_clients& others) {
    const auto s = server.snapshot();
    const auto d = digest.snapshot();
    const auto gauge = [](std::string name, std::string help, auto value) {
        return router::metrics::sample{std::move(name), std::move(help), false, static_cast<double>(value)};
    };
    const auto counter = [](std::string name, std::string help, std::uint64_t value) {
        return router::metrics::sample{std::move(name), std::move(help), true, static_cast<double>(value)};
    };
    std::vector<router::metrics::sample> out{
        gauge("keepstore_connections_open", "Open client connections.", s.connections_open),
        gauge("keepstore_connections_idle", "Of these, waiting for a request.", s.connections_idle),
        gauge("keepstore_connections_max", "Limit on open connections.", s.connections_max),
        counter("keepstore_connections_total", "Connections accepted.", s.connections_total),
        counter("keepstore_accept_pauses_total", "Times that accepting stopped for lack of descriptors.",
                s.accept_pauses_total),
        counter("keepstore_malformed_requests_total", "Requests refused for their syntax.", s.refused_total),
        counter("keepstore_too_slow_requests_total", "Requests cut for the minimum transfer rate.", s.too_slow_total),
        counter("keepstore_header_timeouts_total", "Connections closed because no request head came in time.",
                s.header_timeouts_total),
        counter("keepstore_digest_bytes_total", "Bytes hashed.", d.bytes_total),
        counter("keepstore_digest_single_bytes_total", "Bytes hashed as a lone stream.", d.bytes_single_total),
        counter("keepstore_digest_passes_total", "SIMD hashing passes.", d.passes_total),
        counter("keepstore_digest_lanes_used_total", "Occupied lanes, summed over all passes.", d.lanes_used_total),
        gauge(
            "keepstore_digest_lanes_average", "Occupied lanes of a pass, on average since the start.",
            d.passes_total == 0 ? 0.0 : static_cast<double>(d.lanes_used_total) / static_cast<double>(d.passes_total))};
    std::ranges::move(router::scrub_samples(scrub.status().value()), std::back_inserter(out));
    std::ranges::move(others.samples(), std::back_inserter(out));
    return out;
}

void start_workers(background_tasks& tasks, const cluster_config::config& conf, store::block_store& store,
                   store::work_queue<protocol::trash_item>& trash) {
    const auto& c = conf.cluster.collections;
    if (!c.blob_trash) return;
    for (std::int64_t i = 0; i < c.blob_trash_concurrency; ++i)
        tasks.spawn("trash", store::run_trash_worker(store, trash));
    if (c.blob_trash_check_interval > 0ns && c.blob_delete_concurrency > 0) {
        tasks.spawn("empty trash", store::run_trash_emptier(
                                       store, {.interval = c.blob_trash_check_interval,
                                               .first_after = std::min(c.blob_trash_check_interval,
                                                                       conf.cluster.keepstore.empty_trash_start_delay),
                                               .concurrency = static_cast<unsigned>(c.blob_delete_concurrency)}));
    }
}

// What happens every so often on the main thread while it waits for signals.
class chores {
  public:
    chores(const cluster_config::config& conf, router::app& application, std::shared_ptr<net::tls_server_context> tls,
           event_loop_group& loops)
        : application_(application),
          tls_(std::move(tls)),
          dump_folder_(conf.cluster.logs.request_queue_dump_directory),
          executors_(loops.executors()) {
        const auto now = clock::now();
        next_reload_ = tls_ ? now + certificate_reload_interval : clock::time_point::max();
        next_dump_ = dump_folder_.empty() ? clock::time_point::max() : now + queue_dump_interval;
        if (const auto interval = watchdog_interval()) {
            watchdog_interval_ = *interval;
            next_watchdog_ = now;
            beats_ = std::make_shared<std::vector<std::atomic<bool>>>(executors_.size());
            for (auto& beat : *beats_) beat = true;
        }
    }

    [[nodiscard]] clock::time_point next() const { return std::min({next_reload_, next_dump_, next_watchdog_}); }

    void run_due() {
        const auto now = clock::now();
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

    void reload_certificates() {
        if (!tls_) {
            log::info("SIGHUP: no certificates are in use; nothing to reload");
        } else if (tls_->reload()) {
            log::info("SIGHUP: certificate and key were reloaded");
        }
    }

  private:
    // The watchdog hears from us only if every loop has turned since the last beat.
    void beat() {
        const bool all_turned = std::ranges::all_of(*beats_, [](const std::atomic<bool>& beat) { return beat.load(); });
        if (all_turned) notify_alive();
        for (std::size_t i = 0; i < executors_.size(); ++i) {
            (*beats_)[i] = false;
            asio::post(executors_[i], [beats = beats_, i] { (*beats)[i] = true; });
        }
    }

    router::app& application_;
    std::shared_ptr<net::tls_server_context> tls_;
    std::string dump_folder_;
    std::vector<asio::any_io_executor> executors_;
    std::shared_ptr<std::vector<std::atomic<bool>>> beats_;
    clock::duration watchdog_interval_{};
    clock::time_point next_reload_ = clock::time_point::max();
    clock::time_point next_dump_ = clock::time_point::max();
    clock::time_point next_watchdog_ = clock::time_point::max();
};

// The signal that comes before `until`, or 0.
int wait_for_signal(clock::time_point until) {
    const sigset_t set = waited_signals();
    const auto left = std::clamp<clock::duration>(until - clock::now(), 0s, 1h);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    timespec wait{};
    wait.tv_sec = seconds.count();
    wait.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(left - seconds).count();
    const int number = sigtimedwait(&set, nullptr, &wait);
    return number > 0 ? number : 0;
}

void serve_until_told(chores& work) {
    while (true) {
        switch (wait_for_signal(work.next())) {
            case SIGTERM:
            case SIGINT:
                return;
            case SIGHUP:
                work.reload_certificates();
                break;
            default:
                break;
        }
        work.run_due();
    }
}

// Ends when all requests have, at the limit, or at the second SIGTERM or SIGINT.
void drain(net::server& server, const asio::any_io_executor& executor, clock::duration limit, chores& work) {
    auto outcome = asio::co_spawn(executor, server.drain(deadline::in(limit)), asio::use_future);
    const auto give_up_at = clock::now() + limit + 5s;
    while (outcome.wait_for(0s) != std::future_status::ready && clock::now() < give_up_at) {
        work.run_due();  // The watchdog is on until systemd itself stops the service.
        const int number = wait_for_signal(clock::now() + 20ms);
        if (number == SIGTERM || number == SIGINT) {
            log::warning("second signal: not waiting for the requests that still run");
            log::flush();
            std::_Exit(0);
        }
    }
    if (outcome.wait_for(0s) != std::future_status::ready || !outcome.get())
        log::warning("DrainTimeout passed: requests that still ran were cut off");
}

}  // namespace

void block_signals() {
    const sigset_t set = waited_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // A client that left is an error of the write, not the end of the process.
    std::signal(SIGXFSZ, SIG_IGN);  // Likewise a file size limit (LimitFSIZE=).
}

std::expected<void, std::string> run_service(const cluster_config::config& conf,
                                             const cluster_config::listen_address& where) {
    raise_descriptor_limit();
    mallopt(M_MMAP_THRESHOLD, static_cast<int>(limits::malloc_map_bytes_min));
    mallopt(M_TRIM_THRESHOLD, static_cast<int>(limits::malloc_keep_bytes));
    prctl(PR_SET_DUMPABLE, 0);  // Core files would hold tokens and the signing key.

    const auto plans = volumes::plan_volumes(conf.cluster, where.service_url);
    if (!plans) return std::unexpected(plans.error());
    auto mounts = open_mounts(*plans);
    if (!mounts) return std::unexpected(std::move(mounts.error()));

    std::shared_ptr<net::tls_server_context> tls;
    if (where.tls) {
        if (!conf.cluster.tls.acme_server.empty())
            return std::unexpected("TLS.ACME.Server is not supported: give TLS.Certificate and TLS.Key");
        auto loaded = net::tls_server_context::load(conf.cluster.tls.certificate, conf.cluster.tls.key);
        if (!loaded) return std::unexpected("cannot start keepstore service on URL: " + loaded.error().text);
        tls = std::move(*loaded);
    }

    const auto threads = static_cast<unsigned>(std::max<std::int64_t>(0, conf.cluster.keepstore.threads));
    event_loop_group loops("loop", threads > 0 ? threads : usable_processors());
    pool::buffer_pool pool(conf.cluster.api.memory_budget_bytes());
    digest::engine digest(static_cast<unsigned>(loops.size()));
    store::block_store store(store_options(conf), store::mount_table(std::move(*mounts)), pool, digest);
    store::scrub_clock clock_of_scrub;
    store::scrubber scrub(
        store, digest, {.interval = conf.cluster.keepstore.scrub_interval, .rate = conf.cluster.keepstore.scrub_rate},
        clock_of_scrub);
    auto others = peer_clients::make(conf.cluster, store);
    if (!others) return std::unexpected(std::move(others.error()));
    store::work_queue<protocol::pull_item> pulls;
    store::work_queue<protocol::trash_item> trash;

    net::server* serving = nullptr;
    auto options = application_options(conf);
    options.more_metrics = [&serving, &digest, &scrub, &others] {
        return more_metrics(*serving, digest, scrub, **others);
    };
    router::app application(options, store, pulls, trash, pool, &scrub, &(*others)->remote());
    const auto executors = loops.executors();
    net::server server(executors, application, transport(conf));
    serving = &server;
    const auto address = where.endpoint.address();
    const auto port = server.listen(address.is_unspecified() && address.is_v6() ? std::string() : address.to_string(),
                                    where.endpoint.port(), tls);
    if (!port) return std::unexpected("cannot listen: " + port.error().text);

    background_tasks tasks(executors.back());
    start_workers(tasks, conf, store, trash);
    background_tasks pullers(executors.back());
    for (unsigned i = 0; i < (*others)->pull_workers(); ++i) pullers.spawn("pull", (*others)->pulls().run(pulls));
    background_tasks scrubs(executors.back());
    for (std::size_t i = 0; i < scrub.task_count(); ++i) scrubs.spawn("scrub", scrub.run(i));
    server.start();
    loops.start();

    cluster_config::url announced = where.listen_url;
    if (where.endpoint.port() == 0)
        announced.host = fmt::format("{}:{}", announced.host.substr(0, announced.host.rfind(':')), *port);
    log::info("listening",
              {{"URL", announced.to_string()},
               {"Listen",
                fmt::format("{}:{}", address.is_v6() ? "[" + address.to_string() + "]" : address.to_string(), *port)},
               {"Service", "keepstore"},
               {"Version", version_text()}});
    notify_ready(fmt::format("serving {} volumes on {}", store.mounts().all().size(), announced.to_string()));

    chores work(conf, application, tls, loops);
    serve_until_told(work);

    log::info("stopping: no new connections are accepted; finishing what runs");
    notify_stopping();
    application.set_draining(true);
    // At once: what still has to be served needs the disks and the network.
    bool all_ended = pullers.stop(3s);
    all_ended = scrubs.stop(3s) && all_ended;
    drain(server, executors.front(), conf.cluster.keepstore.drain_timeout, work);
    all_ended = tasks.stop(5s) && all_ended;
    (*others)->close();
    // A read or write that was under way when its scrub or pull was stopped comes back in a moment, or hangs.
    const auto held = [&] { return scrub.memory_in_use() != 0 || (*others)->pulls().memory_in_use() != 0; };
    for (const auto until = clock::now() + 1s; held() && clock::now() < until;) std::this_thread::sleep_for(1ms);
    loops.stop();
    if (pool.snapshot().in_use_bytes != 0 || held() || !all_ended) {
        // A call on a hung volume still owns memory, and cannot be waited for.
        log::warning("stopped while calls on a volume that does not respond are pending");
        log::flush();
        std::_Exit(0);
    }
    log::info("stopped");
    return {};
}

}  // namespace keepstore::daemon
