#include "daemon/service.hpp"

#include "base/event_loop_group.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/service_manager.hpp"
#include "daemon/background_tasks.hpp"
#include "daemon/flags.hpp"
#include "daemon/limits.hpp"
#include "daemon/mounts.hpp"
#include "daemon/peer_clients.hpp"
#include "daemon/periodic_tasks.hpp"
#include "daemon/service_metrics.hpp"
#include "daemon/signals.hpp"
#include "daemon/volume_watch.hpp"
#include "digest/engine.hpp"
#include "net/server/server.hpp"
#include "pool/buffer_pool.hpp"
#include "router/app.hpp"
#include "store/block_store.hpp"
#include "store/lists/trash_worker.hpp"
#include "store/scrub/scrub.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <future>
#include <memory>
#include <thread>
#include <utility>

namespace keepstore::daemon {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto drain_poll_interval = 20ms;

/// Raises the soft limit on descriptors, often 1024, to the hard one: connections and block files need them.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void prepare_process() {
    raise_descriptor_limit();
    mallopt(M_MMAP_THRESHOLD, static_cast<int>(limits::malloc_map_bytes_min));
    mallopt(M_TRIM_THRESHOLD, static_cast<int>(limits::malloc_keep_bytes));
    prctl(PR_SET_DUMPABLE, 0);  // Core files would hold tokens and the signing key.
}

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
    out.cluster_id = cluster.id;
    out.about = {.version = version_text(),
                 .config_sha256 = conf.sha256,
                 .config_source_seconds = unix_seconds(conf.timestamp),
                 .config_load_seconds = unix_seconds(std::chrono::system_clock::now()),
                 .signing_ttl_seconds = std::chrono::duration<double>(cluster.collections.blob_signing_ttl).count()};
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

/// Logs "listening" and tells systemd. `port` is the one that the system chose if the configuration says 0.
void announce(const cluster_config::listen_address& where, unsigned port, std::size_t volumes) {
    cluster_config::url url = where.listen_url;
    if (where.endpoint.port() == 0) url.host = fmt::format("{}:{}", url.host.substr(0, url.host.rfind(':')), port);
    const auto address = where.endpoint.address();
    log::info("listening",
              {{"URL", url.to_string()},
               {"Listen",
                fmt::format("{}:{}", address.is_v6() ? "[" + address.to_string() + "]" : address.to_string(), port)},
               {"Service", "keepstore"},
               {"Version", version_text()}});
    notify_ready(fmt::format("serving {} volumes on {}", volumes, url.to_string()));
}

/// Returns at SIGTERM or SIGINT.
void wait_for_stop(signals& process_signals, periodic_tasks& work) {
    while (true) {
        switch (process_signals.wait(work.next())) {
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

/// Waits until all requests have ended, up to `limit`.
void drain(net::server& server, const asio::any_io_executor& executor, clock::duration limit, periodic_tasks& work) {
    auto outcome = asio::co_spawn(executor, server.drain(deadline::in(limit)), asio::use_future);
    while (outcome.wait_for(drain_poll_interval) != std::future_status::ready)
        work.run_due();  // The watchdog is on until systemd itself stops the service.
    if (!outcome.get()) log::warning("DrainTimeout passed: requests that still ran were cut off");
}

}  // namespace

std::expected<void, std::string> run_service(const cluster_config::config& conf, reports::start_plan& plan,
                                             inherited_socket& socket, signals& process_signals) {
    const auto& cluster = conf.cluster;
    prepare_process();

    // Build, from the volumes up.
    KS_TRY(auto mounts, open_mounts(plan.volumes, process_signals));

    process_signals.starting("making threads and listening");
    const auto threads = static_cast<unsigned>(cluster.keepstore.threads);
    event_loop_group loops("loop", threads > 0 ? threads : usable_processors());
    pool::buffer_pool pool(cluster.api.memory_budget_bytes());
    digest::engine digest(static_cast<unsigned>(loops.size()));
    store::block_store store(store_options(conf), store::mount_table(std::move(mounts)), pool, digest);
    store::scrub_clock clock_of_scrub;
    store::scrubber scrub(store, {.interval = cluster.keepstore.scrub_interval, .rate = cluster.keepstore.scrub_rate},
                          clock_of_scrub);
    peer_clients others(cluster, plan, store);
    store::work_queue<protocol::pull_item> pulls;
    store::work_queue<protocol::trash_item> trash;

    net::server* serving = nullptr;
    auto options = application_options(conf);
    options.more_metrics = [&] { return service_metrics(*serving, scrub, others, store.context()); };
    options.service = [&] {
        return router::service_values{.connections = serving->snapshot(), .pools = {{"pull", others.pulls().memory()}}};
    };
    options.pull_counters = &others.pulls().counters();
    router::app application(options, store, pulls, trash, &scrub, &others.remote());
    const auto executors = loops.executors();
    net::server server(executors, application, transport(conf));
    serving = &server;

    // Start: nothing runs before the loops do.
    const auto& where = *plan.where;
    const auto address = where.endpoint.address();
    auto inherited = socket.release();
    const auto port =
        inherited ? server.listen_on(std::move(inherited), plan.tls)
                  : server.listen(address.is_unspecified() && address.is_v6() ? std::string() : address.to_string(),
                                  where.endpoint.port(), plan.tls);
    if (!port) return std::unexpected("cannot listen: " + port.error().text);
    background_tasks workers(executors.back());
    start_workers(workers, conf, store, trash);
    workers.spawn("watch volumes", watch_volumes(store.mounts()));
    background_tasks pullers(executors.back());
    for (unsigned i = 0; i < others.pull_workers(); ++i) pullers.spawn("pull", others.pulls().run(pulls));
    background_tasks scrubs(executors.back());
    for (std::size_t i = 0; i < scrub.task_count(); ++i) scrubs.spawn("scrub", scrub.run(i));
    // Before the first request may come, which a stop must not cut off.
    process_signals.serving(cluster.keepstore.drain_timeout + limits::stop_margin);
    server.start();
    loops.start();
    announce(where, *port, store.mounts().all().size());

    // Serve.
    periodic_tasks work(application, plan.tls, cluster.logs.request_queue_dump_directory, executors);
    wait_for_stop(process_signals, work);

    // Stop: first what competes with running requests for disks and network, then the requests, then the rest.
    log::info("stopping: no new connections are accepted; finishing what runs");
    notify_stopping("finishing the requests that run");
    application.set_draining(true);
    pullers.cancel();
    scrubs.cancel();
    drain(server, executors.front(), cluster.keepstore.drain_timeout, work);
    process_signals.end_within(limits::stop_wait);
    workers.cancel();
    const auto until = clock::now() + limits::stop_wait / 2;
    bool all_ended = pullers.wait(until);
    all_ended = scrubs.wait(until) && all_ended;
    all_ended = workers.wait(until) && all_ended;
    others.close();
    // Chunks may outlive their pools, but the call that has one uses its volume.
    const auto held = [&] {
        const auto& requests = store.context();
        return scrub.memory().in_use_bytes() + others.pulls().memory().in_use_bytes +
                   requests.copy_pool.snapshot().in_use_bytes + requests.scratch_pool.snapshot().in_use_bytes !=
               0;
    };
    while (held() && clock::now() < until) std::this_thread::sleep_for(1ms);
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
