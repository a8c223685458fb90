#include "net/server/session_loop.hpp"

#include "base/cancellable.hpp"
#include "base/utc_text.hpp"
#include "net/server/session.hpp"

#include <malloc.h>

#include <chrono>
#include <ctime>

namespace keepstore::net {

session_loop::session_loop(asio::any_io_executor executor, handler& application, const transport_options& options,
                           std::function<void()> closed)
    : executor_(std::move(executor)),
      application_(application),
      options_(options),
      closed_(std::move(closed)),
      timer_(executor_) {
    update_date();
}

session_loop::~session_loop() {
    // The event loop was destroyed or stopped with sessions alive: their coroutines are gone already.
    const auto dispose = [](session* s) { delete s; };
    active_.clear_and_dispose(dispose);
    idle_.clear_and_dispose(dispose);
}

void session_loop::start() {
    run_later(executor_, [self = shared_from_this()] { spawn(self->executor_, tick_until_stopped(self)); });
}

void session_loop::stop() {
    run_later(executor_, [self = shared_from_this()] {
        self->stopped_ = true;
        self->timer_.cancel();
    });
}

awaitable<void> session_loop::tick_until_stopped(std::shared_ptr<session_loop> self) {
    while (!self->stopped_) {
        self->timer_.expires_after(self->options_.tick);
        static_cast<void>(co_await expiry(self->timer_));
        if (self->stopped_) co_return;
        self->tick();
    }
}

void session_loop::adopt(std::unique_ptr<stream> peer, std::string remote_address, bool tls) {
    auto* added = new session(*this, std::move(peer), std::move(remote_address), tls);
    idle_.push_back(*added);
    count.idle.fetch_add(1, std::memory_order_relaxed);
    // The session is destroyed by a later event: its coroutine still refers to its signal when it reports its end.
    spawn(executor_, added->run(), added->signal().slot(), [self = shared_from_this(), added](std::exception_ptr) {
        run_later(self->executor_, [self, added] { self->remove(*added); });
    });
}

void session_loop::remove(session& gone) {
    auto& list = gone.idle() ? idle_ : active_;
    if (gone.idle()) count.idle.fetch_sub(1, std::memory_order_relaxed);
    list.erase(list.iterator_to(gone));
    delete &gone;
    closed_();
}

void session_loop::session_idle(session& s) {
    active_.erase(active_.iterator_to(s));
    idle_.push_back(s);
    count.idle.fetch_add(1, std::memory_order_relaxed);
}

void session_loop::session_active(session& s) {
    idle_.erase(idle_.iterator_to(s));
    active_.push_back(s);
    count.idle.fetch_sub(1, std::memory_order_relaxed);
}

const std::vector<session*>& session_loop::snapshot(bool with_idle) {
    scratch_.clear();
    for (auto& s : active_) scratch_.push_back(&s);
    if (with_idle) {
        for (auto& s : idle_) scratch_.push_back(&s);
    }
    return scratch_;
}

void session_loop::tick() {
    update_date();
    const auto now = clock::now();
    tick_idle(now);
    for (session* s : snapshot(false)) s->check(now);
    trim_memory(now);
}

// Large heads that were held at the same time leave holes among small allocations, which malloc keeps for itself.
void session_loop::trim_memory(clock::time_point now) {
    if (large_freed_ < limits::trim_freed_bytes || now - trimmed_at_ < limits::trim_interval) return;
    large_freed_ = 0;
    trimmed_at_ = now;
    ::malloc_trim(0);
}

void session_loop::tick_idle(clock::time_point now) {
    const auto limit = draining_ ? options_.drain_idle_grace : options_.idle_timeout;
    for (auto& s : idle_) {
        if (now - s.since() < limit) break;
        if (s.request_is_arriving()) continue;
        s.kill();
    }
}

void session_loop::update_date() {
    const std::time_t second = std::time(nullptr);
    if (second == date_second_) return;
    date_second_ = second;
    date_line_ = "Date: " + format_http_date(std::chrono::sys_seconds(std::chrono::seconds(second))) + "\r\n";
}

void session_loop::begin_drain() {
    draining_ = true;
}

void session_loop::cancel_all(cancel_reason reason) {
    for (session* s : snapshot(false)) s->cancel_request(reason);
}

void session_loop::kill_all() {
    for (session* s : snapshot(true)) s->kill();
}

bool session_loop::close_oldest_idle() {
    for (auto& s : idle_) {
        if (s.killed() || s.request_is_arriving()) continue;
        s.kill();
        return true;
    }
    return false;
}

}  // namespace keepstore::net
