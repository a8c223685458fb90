#include "net/client/connection_pool.hpp"

#include "net/limits.hpp"

#include <fmt/format.h>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>

#include <algorithm>
#include <map>

namespace keepstore::net {
namespace {

/// Ties pools to their io_context: when that is destroyed, idle connections are closed while sockets still can be.
class pool_service final : public asio::execution_context::service {
  public:
    using key_type = pool_service;
    static asio::execution_context::id id;

    explicit pool_service(asio::execution_context& context) : service(context) {}

    /// Creates the services of sockets and timers first, so that they end after this one.
    static void prepare(const asio::any_io_executor& executor) {
        const asio::ip::tcp::socket socket(executor);
        const asio::steady_timer timer(executor);
    }

    std::shared_ptr<connection_pool>& of(std::uint64_t client) { return pools_[client]; }
    void forget(std::uint64_t client) { pools_.erase(client); }

  private:
    void shutdown() override {
        for (auto& [client, pool] : pools_) pool->context_ends();
        pools_.clear();
    }

    /// By client_shared::id. Touched by the thread of the context only.
    std::map<std::uint64_t, std::shared_ptr<connection_pool>> pools_;
};

asio::execution_context::id pool_service::id;

asio::execution_context& context_of(const asio::any_io_executor& executor) {
    return asio::query(executor, asio::execution::context);
}

}  // namespace

// --- place ------------------------------------------------------------------------------------------------------

connection_pool::place& connection_pool::place::operator=(place&& other) noexcept {
    if (this == &other) return *this;
    release();
    pool_ = std::move(other.pool_);
    of_ = std::exchange(other.of_, nullptr);
    return *this;
}

void connection_pool::place::release() noexcept {
    if (!of_) return;
    pool_->put_back(*std::exchange(of_, nullptr));
    pool_.reset();
}

void connection_pool::place::release(std::unique_ptr<stream> connection, steady::time_point until) {
    if (!of_) return;
    if (!pool_->shared_->closed && !pool_->ended_) {
        of_->idle.push_back({std::move(connection), until});
        pool_->shared_->counters.connections_idle.add();
        pool_->timers_.want_tick(until);
    }
    release();
}

// --- connection_pool --------------------------------------------------------------------------------------------

connection_pool::connection_pool(std::shared_ptr<client_shared> shared, const asio::any_io_executor& executor)
    : shared_(std::move(shared)),
      executor_(executor),
      lookups_(std::make_shared<name_lookups>(executor, shared_->addresses)),
      timers_(executor, [this](steady::time_point now) { return housekeeping(now); }) {}

connection_pool::~connection_pool() = default;

std::shared_ptr<connection_pool> connection_pool::find(const std::shared_ptr<client_shared>& shared,
                                                       const asio::any_io_executor& executor) {
    auto& context = context_of(executor);
    if (!asio::has_service<pool_service>(context)) pool_service::prepare(executor);
    auto& pool = asio::use_service<pool_service>(context).of(shared->id);
    if (!pool) pool = std::make_shared<connection_pool>(shared, executor);
    return pool;
}

connection_pool::places& connection_pool::places_of(const endpoint& to) {
    const auto at = std::ranges::find(servers_, to, &places::to);
    if (at != servers_.end()) return *at;
    servers_.push_front({.to = to});
    return servers_.front();
}

void connection_pool::drop(idle_connection& old) noexcept {
    shared_->counters.connections_idle.sub();
    shared_->counters.idle_dropped.add();
    if (old.connection) old.connection->shutdown();
    old.connection.reset();
}

std::unique_ptr<stream> connection_pool::take_idle(places& p) {
    const auto now = steady::now();
    while (!p.idle.empty()) {
        idle_connection last = std::move(p.idle.back());
        p.idle.pop_back();
        if (last.until > now && last.connection->is_quiet()) {
            shared_->counters.connections_idle.sub();
            return std::move(last.connection);
        }
        drop(last);
    }
    return nullptr;
}

result<connection_pool::acquired> connection_pool::refuse_closed(const endpoint& to) {
    return make_failure(*shared_, to, failure::closed, errc::unavailable,
                        "the HTTP client is closed: the program is stopping");
}

awaitable<result<connection_pool::acquired>> connection_pool::acquire(const endpoint& to, timed_waiter& w,
                                                                      steady::time_point whole, bool fresh) {
    if (shared_->closed) co_return refuse_closed(to);
    places& p = places_of(to);
    auto& counters = shared_->counters;
    const unsigned most = std::max(1U, shared_->options.connections_max);
    if (p.in_use < most && p.waiters.empty()) {
        ++p.in_use;
        counters.connections_in_use.add();
    } else {
        if (p.waiters.size() >= limits::net_waiters_max) {
            co_return make_failure(
                *shared_, to, failure::pool_full, errc::unavailable,
                fmt::format("{} requests wait for one of {} connections already", p.waiters.size(), most));
        }
        waited outcome{};
        {
            waiter me(*this, p);
            std::optional<std::monostate> turn;
            outcome = co_await w.wait(me.turn, turn, whole);
            if (outcome == waited::ready) me.granted = false;  // Ours from here on.
        }
        if (shared_->closed && outcome != waited::ready) co_return refuse_closed(to);
        if (outcome == waited::expired) {
            co_return make_failure(*shared_, to, failure::wait_timeout, errc::timeout,
                                   fmt::format("all {} connections were in use until the deadline", most));
        }
        if (outcome != waited::ready) {
            co_return make_failure(*shared_, to, failure::cancelled, errc::cancelled,
                                   "cancelled while waiting for a connection");
        }
    }
    acquired out{place(shared_from_this(), &p), nullptr};
    if (!fresh) {
        out.reused = take_idle(p);
    } else if (p.in_use + p.idle.size() > most && !p.idle.empty()) {
        drop(p.idle.front());
        p.idle.pop_front();
    }
    co_return out;
}

connection_pool::waiter::waiter(connection_pool& p, places& of)
    : pool(p), in(of), at(of.waiters.insert(of.waiters.end(), this)) {
    pool.shared_->counters.waits.add();
    pool.shared_->counters.waiting.add();
}

connection_pool::waiter::~waiter() {
    auto& counters = pool.shared_->counters;
    const auto time = std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - since);
    counters.wait_microseconds.add(static_cast<std::uint64_t>(time.count()));
    counters.waiting.sub();
    if (listed) in.waiters.erase(at);
    if (granted) pool.put_back(in);
}

void connection_pool::put_back(places& p) noexcept {
    while (!p.waiters.empty() && !ended_) {
        waiter* next = p.waiters.front();
        p.waiters.pop_front();
        next->listed = false;
        // False for a waiter whose wait has ended by its time limit or by cancellation, and that has not resumed yet.
        next->granted = next->turn.set(std::monostate{});
        if (next->granted) return;
    }
    --p.in_use;
    shared_->counters.connections_in_use.sub();
}

steady::time_point connection_pool::housekeeping(steady::time_point now) {
    auto next = steady::time_point::max();
    for (auto at = servers_.begin(); at != servers_.end();) {
        auto& idle = at->idle;
        for (auto& c : idle) {
            if (c.until <= now || !c.connection->is_quiet()) drop(c);
        }
        std::erase_if(idle, [](const idle_connection& c) { return !c.connection; });
        // Polled, since the server may close them.
        for (const auto& c : idle) next = std::min({next, c.until, now + limits::net_idle_check});
        if (idle.empty() && at->in_use == 0 && at->waiters.empty()) {
            at = servers_.erase(at);
        } else {
            ++at;
        }
    }
    return next;
}

void connection_pool::close_now() {
    for (auto& p : servers_) {
        for (auto& c : p.idle) drop(c);
        p.idle.clear();
        for (waiter* w : p.waiters) w->turn.set(fail(errc::unavailable));
    }
}

void connection_pool::close_from_any_thread() {
    const std::lock_guard lock(context_mutex_);
    if (context_gone_) return;
    run_later(executor_, [self = shared_from_this()] {
        self->close_now();
        asio::use_service<pool_service>(context_of(self->executor_)).forget(self->shared_->id);
    });
}

void connection_pool::context_ends() noexcept {
    {
        const std::lock_guard lock(context_mutex_);
        context_gone_ = true;
    }
    ended_ = true;
    timers_.stop();
    // Waking the waiters hands their coroutines to the scheduler, which destroys them with the rest of its queue:
    // nothing else owns a coroutine that waits for a one_shot.
    close_now();
}

}  // namespace keepstore::net
