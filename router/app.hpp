/// The application that the HTTP server calls: the layers of docs/interface.md 2.1 (metrics, deadline, request id,
/// inspect, log, health, limiter, CORS, tokens, routes), in that order. Created once by daemon/; handles requests on
/// all event loops. Safe to use from any thread.
#pragma once

#include "base/blocking_pool.hpp"
#include "net/server/server_exchange.hpp"
#include "protocol/work_lists.hpp"
#include "router/health.hpp"
#include "router/limiter.hpp"
#include "router/metrics.hpp"
#include "router/request_context.hpp"
#include "router/request_table.hpp"
#include "router/routes.hpp"
#include "router/status_page/status_page.hpp"
#include "router/tokens.hpp"
#include "store/block_store.hpp"
#include "store/lists/work_queue.hpp"
#include "store/remote/remote_reader.hpp"
#include "store/scrub/scrub.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::router {

struct app_options {
    std::string system_root_token;  ///< Empty: the admin API is closed.
    std::string management_token;   ///< Empty: /metrics is open, ping and inspect are off (docs/interface.md 2.4).
    limiter::options limits = {};   ///< API.MaxConcurrentRequests, API.MaxQueuedRequests.
    std::chrono::nanoseconds request_timeout{};                       ///< API.RequestTimeout; 0: none.
    metrics::options about = {};                                      ///< Version and configuration, for /metrics.
    std::function<std::vector<metrics::sample>()> more_metrics = {};  ///< See metrics::sources.
    std::string cluster_id = {};                                      ///< For the status page,
    std::function<service_values()> service = {};                     ///< and status_values::sources.
    const store::pull_counters* pull_counters = nullptr;              ///< For /_work; outlive the app.
};

class app final : public net::handler {
  public:
    /// All arguments must outlive the app. `scrub` null: /_scrub is 404. `remote` null: no other cluster is configured.
    app(const app_options&, store::block_store&, store::work_queue<protocol::pull_item>&,
        store::work_queue<protocol::trash_item>&, store::scrubber* scrub = nullptr,
        store::remote_reader* remote = nullptr);

    [[nodiscard]] awaitable<void> handle(net::server_exchange&) override;
    void stalled(net::server_exchange&, bool) noexcept override;

    /// Makes readiness 503 and ping unhealthy while `draining`.
    void set_draining(bool draining) noexcept { health_.set_draining(draining); }
    [[nodiscard]] health::readiness ready() const { return health_.check(); }

    /// Returns the list of current requests, as JSON, if the limiter is at least 90 percent full and a management token
    /// is set; the daemon writes it to SystemLogs.RequestQueueDumpDirectory every minute (docs/interface.md 2.19).
    [[nodiscard]] std::optional<std::string> queue_dump_if_busy() const;

    /// Takes a sample for the rates of the status page; call every limits::status_sample_interval.
    void sample_rates() { status_.values().sample(); }

  private:
    [[nodiscard]] awaitable<bool> serve_metrics(request_context&);
    [[nodiscard]] awaitable<bool> serve_inspect(request_context&);
    [[nodiscard]] awaitable<void> handle_counted(request_context&, bool collection_host);
    [[nodiscard]] awaitable<void> handle_logged(request_context&, request_table::entry&, bool collection_host);

    const secret_token root_token_;
    const secret_token management_token_;
    const std::chrono::nanoseconds request_timeout_;
    request_table requests_;
    limiter limiter_;
    metrics metrics_;
    health health_;
    status_page status_;
    blocking_pool slow_calls_;
    routes routes_;
};

/// Whether a Host header names a collection (its first label is a collection's UUID or portable data hash). Management
/// paths of such hosts are left alone, as in all Arvados services (docs/interface.md 2.1).
[[nodiscard]] bool is_collection_host(std::string_view host) noexcept;

}  // namespace keepstore::router
