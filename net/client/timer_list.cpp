#include "net/client/timer_list.hpp"

#include "net/limits.hpp"

#include <boost/asio/query.hpp>

namespace keepstore::net {
namespace {

asio::io_context* find_context(const asio::any_io_executor& executor) {
    const auto* target = executor.target<asio::io_context::executor_type>();
    return target ? &asio::query(*target, asio::execution::context) : nullptr;
}

}  // namespace

timer_list::timer_list(const asio::any_io_executor& executor,
                       std::function<steady::time_point(steady::time_point)> housekeeping)
    : context_(find_context(executor)),
      timer_(executor),
      housekeeping_(std::move(housekeeping)),
      round_(std::make_shared<int>()) {}

timer_list::~timer_list() = default;

void timer_list::want_tick(steady::time_point when) {
    if (!armed_ || when < next_) arm(when);
}

void timer_list::stop() {
    round_.reset();
    timer_.reset();
}

void timer_list::arm(steady::time_point when) {
    if (!timer_) return;
    round_ = std::make_shared<int>();
    armed_ = true;
    next_ = when;
    timer_->expires_at(when);
    // The tick must not keep io_context::run() from returning when only idle connections are left: the work that Asio
    // counts for this wait is taken back while it is pending. Waits that matter count as work themselves.
    timer_->async_wait([this, c = context_, round = std::weak_ptr<int>(round_)](const boost::system::error_code& code) {
        if (c) c->get_executor().on_work_started();
        if (!code && !round.expired()) tick();
    });
    if (context_) context_->get_executor().on_work_finished();
}

void timer_list::tick() {
    armed_ = false;
    const auto now = steady::now();
    for (timed_waiter* w : waiters_) {
        // Interrupting only posts: nothing is removed from the list meanwhile.
        if (!w->interrupt_ || w->due_ > now) continue;
        w->expired_ = true;
        w->interrupt_(w->target_);
    }
    auto next = housekeeping_(now);
    // Requests often follow one another: tick once more instead of re-arming for each.
    if (!waiters_.empty() || busy_) next = std::min(next, now + limits::net_tick);
    busy_ = false;
    if (next != steady::time_point::max()) arm(std::max(next, now + limits::net_tick));
}

timed_waiter::timed_waiter(timer_list& list) : list_(list), place_(list.waiters_.insert(list.waiters_.end(), this)) {
    list_.busy_ = true;
    const auto soon = steady::now() + limits::net_tick;
    if (!list_.armed_ || list_.next_ > soon) list_.arm(soon);
}

timed_waiter::~timed_waiter() {
    list_.waiters_.erase(place_);
}

void timed_waiter::begin(steady::time_point due, interrupt_type interrupt, const void* target) {
    due_ = due;
    interrupt_ = interrupt;
    target_ = target;
    expired_ = false;
    woken_ = false;
}

void timed_waiter::wake() {
    if (!interrupt_ || !socket_) return;
    woken_ = true;
    boost::system::error_code ignored;
    socket_->cancel(ignored);
}

awaitable<waited> timed_waiter::wait(socket_type& socket, socket_type::wait_type what, steady::time_point due) {
    const auto before = co_await asio::this_coro::cancellation_state;
    if (before.cancelled() != asio::cancellation_type::none) co_return waited::cancelled;
    if (steady::now() >= due) co_return waited::expired;
    socket_ = &socket;
    begin(
        due,
        [](const void* p) {
            boost::system::error_code ignored;
            static_cast<const timed_waiter*>(p)->socket_->cancel(ignored);
        },
        this);
    auto [code] = co_await socket.async_wait(what, use_tuple);
    end();
    socket_ = nullptr;
    if (!code) co_return waited::ready;
    if (code != asio::error::operation_aborted) co_return waited::ready;  // The next attempt reports the error.
    if (expired_) co_return waited::expired;
    co_return woken_ ? waited::woken : waited::cancelled;
}

}  // namespace keepstore::net
