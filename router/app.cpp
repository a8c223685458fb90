#include "router/app.hpp"

#include "base/hex.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "router/access_log.hpp"
#include "router/limits.hpp"
#include "router/request_id.hpp"
#include "router/status.hpp"

#include <algorithm>
#include <exception>
#include <new>

namespace keepstore::router {
namespace {

// Texts of exceptions are for the log only.
std::string describe(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "unknown exception";
    }
}

// The cross-origin headers of all responses of the keepstore routes (docs/interface.md 2.18). Responses of the outer
// layers (limiter, health, inspect, metrics) have none.
void set_cors_headers(net::server_exchange& ex) {
    ex.set_header("Access-Control-Allow-Origin", "*");
    ex.set_header("Access-Control-Allow-Methods", "GET, HEAD, PUT, OPTIONS");
    ex.set_header("Access-Control-Allow-Headers",
                  "Authorization, Content-Length, Content-Type, X-Keep-Desired-Replicas, X-Keep-Signature, "
                  "X-Keep-Storage-Classes");
    ex.set_header("Access-Control-Expose-Headers",
                  "X-Keep-Locator, X-Keep-Replicas-Stored, X-Keep-Storage-Classes-Confirmed");
    ex.set_header("Access-Control-Max-Age", "86486400");
}

}  // namespace

bool is_collection_host(std::string_view host) noexcept {
    std::string_view label = host.substr(0, host.find('.'));
    label = label.substr(0, label.find("--"));
    const auto alphanumeric = [](std::string_view s) { return std::ranges::all_of(s, is_lower_or_digit); };
    // zzzzz-4zz18-012345678901234
    if (label.size() == 27 && label[5] == '-' && label[11] == '-' && alphanumeric(label.substr(0, 5)) &&
        alphanumeric(label.substr(6, 5)) && alphanumeric(label.substr(12)))
        return true;
    // A portable data hash, 32 hex digits and the size, with its plus sign written as a dash.
    return label.size() > 33 && (label[32] == '-' || label[32] == '+') && is_lower_hex(label.substr(0, 32)) &&
           is_number(label.substr(33));
}

app::app(const app_options& o, store::block_store& store, store::work_queue<protocol::pull_item>& pulls,
         store::work_queue<protocol::trash_item>& trash, store::scrubber* scrub, store::remote_reader* remote)
    : root_token_(o.system_root_token),
      management_token_(o.management_token),
      request_timeout_(o.request_timeout),
      limiter_(o.limits),
      metrics_(o.about, {.store = store,
                         .pulls = pulls,
                         .trash = trash,
                         .requests_limiter = limiter_,
                         .requests = requests_,
                         .more = o.more_metrics}),
      health_(store.mounts(), management_token_),
      status_({.cluster_id = o.cluster_id, .version = o.about.version},
              {.store = store,
               .pulls = pulls,
               .trash = trash,
               .scrub = scrub,
               .requests_limiter = limiter_,
               .requests = requests_,
               .health = health_,
               .service = o.service},
              management_token_),
      slow_calls_(
          {.name = "slow calls", .threads_max = limits::slow_call_threads, .queue_max = limits::slow_calls_queued_max}),
      routes_({.store = store,
               .pulls = pulls,
               .trash = trash,
               .admin_token = root_token_,
               .scrub = scrub,
               .remote = remote,
               .pull_counters = o.pull_counters,
               .slow_calls = slow_calls_}) {}

awaitable<void> app::handle(net::server_exchange& ex) {
    request_context request{.ex = ex};
    const net::request_head& head = ex.head();
    // "OPTIONS *" concerns the server, not a path, and skips all layers.
    if (head.method == "OPTIONS" && head.target == "*") co_return co_await request.reply_empty(200);
    std::exception_ptr thrown;
    try {
        const bool collection_host = is_collection_host(head.get("Host"));
        if (!collection_host) {
            if (const bool done = co_await serve_metrics(request); done) co_return;
            if (const bool done = co_await health_.serve_probe(request); done) co_return;
            if (const bool done = co_await status_.serve(request); done) co_return;
        }
        co_await handle_counted(request, collection_host);
    } catch (...) {
        // Thrown by the outer layers; handle_counted() catches exceptions of handlers and logs them with the request
        // id.
        thrown = std::current_exception();
    }
    if (thrown) {
        log::error("request failed", {{"error", describe(thrown)}});
        ex.abort();
    }
}

awaitable<void> app::handle_counted(request_context& request, bool collection_host) {
    net::server_exchange& ex = request.ex;
    const net::request_head& head = ex.head();
    if (request_timeout_ > std::chrono::nanoseconds::zero())
        ex.set_deadline(deadline(ex.started_at() + request_timeout_));
    request.request_id = head.get("X-Request-Id");
    if (request.request_id.empty()) request.request_id = make_request_id();
    ex.set_header("X-Request-Id", request.request_id);
    const bool inspected = co_await serve_inspect(request);
    if (!inspected) {
        request_table::entry entry(requests_, ex, request.request_id);
        const access_log line(request);
        std::exception_ptr thrown;
        try {
            co_await handle_logged(request, entry, collection_host);
        } catch (...) {
            thrown = std::current_exception();
        }
        if (thrown) {
            log::error("request failed", {{"RequestID", request.request_id}, {"error", describe(thrown)}});
            co_await request.reply_error(error(errc::io_error, "internal server error"));
        }
        if (request.client_gone) entry.mark_abandoned();
        const auto now = std::chrono::steady_clock::now();
        line.finish(now);
        status_.count_request(request, now);
        metrics_.requests().count_logged(
            {head.method, request.status, request.block},
            {.to_status = access_log::time_to_status(ex, now), .to_end = now - ex.started_at()});
    } else {
        metrics_.requests().count({head.method, request.status, request.block},
                                  std::chrono::steady_clock::now() - ex.started_at());
    }
}

awaitable<void> app::handle_logged(request_context& request, request_table::entry& entry, bool collection_host) {
    if (!collection_host)
        if (const bool done = co_await health_.serve_ping(request); done) co_return;
    // Requests of browsers have priority: a person waits for them (docs/interface.md 2.7).
    request.priority = request.ex.head().has("Origin") ? 1 : 0;
    if (auto place = limiter_.try_enter(*request.priority)) {
        entry.place = std::move(*place);
    } else {
        auto waited = co_await limiter_.enter(*request.priority);
        if (!waited) {
            // The refusal has no body and no CORS headers.
            request.client_gone = request.ex.cancelled_because() == net::cancel_reason::client_gone;
            co_return co_await request.reply_empty(status_of(waited.error().code, request.ex.cancelled_because()));
        }
        entry.place = std::move(*waited);
    }
    set_cors_headers(request.ex);
    request.tokens = collect_tokens(request.ex.head());
    co_await routes_.handle(request);
    entry.place = {};
}

awaitable<bool> app::serve_metrics(request_context& request) {
    const net::request_head& head = request.ex.head();
    const bool text = head.path == "/metrics";
    if ((!text && head.path != "/metrics.json") || (head.method != "GET" && head.method != "HEAD")) co_return false;
    switch (require_literal_token(management_token_, collect_tokens(head), admission::granted)) {
        case admission::unauthorized:
            co_await request.reply_plain_error(401, "Unauthorized");
            break;
        case admission::forbidden:
            co_await request.reply_plain_error(403, "Forbidden");
            break;
        case admission::granted: {
            const std::string body = text ? metrics_.text() : metrics_.json();
            co_await request.reply(200, body, text ? "text/plain; version=0.0.4; charset=utf-8" : application_json);
        }
    }
    co_return true;
}

awaitable<bool> app::serve_inspect(request_context& request) {
    const net::request_head& head = request.ex.head();
    if (head.path != "/_inspect/requests" || head.method != "GET") co_return false;
    if (is_exact_bearer(head.get("Authorization"), management_token_)) {
        auto list = [this]() -> result<std::string> { return requests_.to_json(); };
        const auto body = co_await slow_calls_.run(std::move(list), request.ex.get_deadline());
        if (!body) {
            co_await request.reply_error(body.error());
        } else {
            co_await request.reply(200, *body, application_json);
        }
    } else {
        co_await request.reply(401, "{\"errors\":[\"unauthorized\"]}\n", application_json);
    }
    co_return true;
}

void app::stalled(net::server_exchange& ex, bool waits) noexcept {
    request_table::entry* const entry = requests_.find(ex);
    if (!entry) return;
    if (waits) {
        entry->place.release_while_stalled();
    } else {
        entry->place.resume();
    }
}

std::optional<std::string> app::queue_dump_if_busy() const {
    if (management_token_.empty()) return std::nullopt;
    const auto now = limiter_.snapshot();
    if (now.concurrent == 0 || now.concurrent_max == 0 || now.concurrent * 10 < now.concurrent_max * 9) {
        return std::nullopt;
    }
    return requests_.to_json();
}

}  // namespace keepstore::router
