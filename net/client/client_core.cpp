#include "net/client/client_core.hpp"

#include "net/client/connection_pool.hpp"
#include "net/client/http_call.hpp"
#include "net/client/request_head.hpp"
#include "net/http/text.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>

namespace keepstore::net {
namespace {

bool is_redirect(unsigned status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// Whether a header may go to another server than the one that it was meant for.
bool carries_no_credentials(const header& h) {
    static constexpr std::array<std::string_view, 8> harmless{"Accept",     "Accept-Encoding",   "Accept-Language",
                                                              "Range",      "If-Modified-Since", "If-None-Match",
                                                              "User-Agent", "X-Request-Id"};
    return std::ranges::any_of(harmless, [&](std::string_view name) { return iequals(name, h.name); });
}

bool may_repeat(const request& r) {
    return r.idempotent.value_or(r.method != "POST" && r.method != "PATCH");
}

}  // namespace

std::shared_ptr<connection_pool> client_core::pool_for(const asio::any_io_executor& executor) {
    auto pool = connection_pool::find(shared_, executor);
    const std::lock_guard lock(mutex_);
    const auto same = [&](const std::weak_ptr<connection_pool>& p) {
        return !p.owner_before(pool) && !pool.owner_before(p);
    };
    if (std::ranges::none_of(pools_, same)) {
        std::erase_if(pools_, [](const auto& p) { return p.expired(); });
        pools_.push_back(pool);
    }
    return pool;
}

void client_core::close() noexcept {
    shared_->closed = true;
    const std::lock_guard lock(mutex_);
    for (const auto& weak : pools_) {
        if (const auto pool = weak.lock()) pool->close_from_any_thread();
    }
    pools_.clear();
}

/// Sends one request to one server, on a second connection if the first was dead.
awaitable<result<std::unique_ptr<http_call>>> client_core::send_once(const std::shared_ptr<connection_pool>& pool,
                                                                     const request& r, deadline until) {
    body_feed feed(r);
    if (feed.from_source() && !r.expect_continue) {
        if (auto first = co_await feed.prefetch(); !first) {
            if (first.error().cause == failure::body_source) shared_->counters.note(failure::body_source);
            co_return std::unexpected(std::move(first.error()));
        }
    }
    bool fresh = r.fresh_connection;
    const proxy* const via = r.to.tls ? nullptr : shared_->options.proxies.find(r.to);
    while (true) {
        auto call = std::make_unique<http_call>(pool, r.to, r.timing, until);
        KS_CO_CHECK(co_await call->connect(fresh));
        auto outcome = co_await call->run(r, write_request_head(r, shared_->options.user_agent, via), feed);
        if (outcome) co_return std::move(call);
        // A new connection cannot be stale: this happens once at most.
        if (fresh || !call->was_stale() || !may_repeat(r) || !feed.restart()) {
            co_return std::unexpected(std::move(outcome.error()));
        }
        shared_->counters.stale_retries.add();
        fresh = true;
    }
}

/// Changes `r` to the location that a response redirects to. \returns whether it is a redirect to be followed.
result<bool> client_core::redirect(request& r, const http_call& call, unsigned& followed) const {
    if (r.redirects_max == 0 || (r.method != "GET" && r.method != "HEAD")) return false;
    if (!is_redirect(call.head().status)) return false;
    const auto bad = [&](std::string_view why) {
        return make_failure(*shared_, r.to, failure::bad_redirect, errc::io_error, why);
    };
    if (followed == r.redirects_max) return bad("too many redirects");
    auto to = resolve_location({r.to, r.target}, header_value(call.head().headers, "Location"));
    if (!to) return bad("redirected to something that is no http URL");
    if (r.to.tls && !to->to.tls) return bad("redirected from https to http, which is not followed");
    if (to->to != r.to) std::erase_if(r.headers, [](const header& h) { return !carries_no_credentials(h); });
    r.to = std::move(to->to);
    r.target = std::move(to->target);
    ++followed;
    shared_->counters.redirects.add();
    return true;
}

awaitable<result<response>> client_core::send(request r, deadline until) {
    shared_->counters.requests.add();
    const auto checked = check_request(r);
    if (!checked) {
        shared_->counters.note(failure::invalid_request);
        co_return std::unexpected(checked.error());
    }
    if (shared_->closed) {
        co_return make_failure(*shared_, r.to, failure::closed, errc::unavailable,
                               "the HTTP client is closed: the program is stopping");
    }
    const auto pool = pool_for(co_await asio::this_coro::executor);
    if (r.expect_continue && shared_->continues.is_silent(r.to, steady::now())) r.expect_continue = false;
    for (unsigned followed = 0;;) {
        KS_CO_TRY(auto call, co_await send_once(pool, r, until));
        KS_CO_TRY(const bool again, redirect(r, *call, followed));
        if (!again) co_return response(std::move(call));
    }
}

}  // namespace keepstore::net
