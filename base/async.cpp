#include "base/async.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

namespace keepstore {

awaitable<std::tuple<boost::system::error_code>> expiry(asio::steady_timer& timer) {
    return timer.async_wait(use_tuple);
}

awaitable<result<void>> pause_for(asio::steady_timer::duration time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    const auto [stopped] = co_await expiry(timer);
    if (stopped) co_return fail(errc::cancelled);
    co_return success();
}

awaitable<void> yield_to_loop() {
    co_await asio::post(co_await asio::this_coro::executor, use_tuple);
}

void run_later(const asio::any_io_executor& executor, std::move_only_function<void()> task) {
    asio::post(executor, std::move(task));
}

one_shot_core::phase one_shot_core::phase_now() const {
    const std::lock_guard lock(mutex_);
    return phase_;
}

void one_shot_core::end(std::unique_lock<std::mutex> held, phase last) {
    phase_ = last;
    if (!waiter_) return;
    auto wake = [waiter = std::move(*waiter_), last]() mutable { std::move(waiter)(last); };
    waiter_.reset();
    const auto executor = std::move(executor_);
    held.unlock();
    asio::post(executor, std::move(wake));
}

struct one_shot_core::initiation {
    template <class Handler>
    void operator()(Handler handler, std::shared_ptr<one_shot_core> self) const {
        auto slot = asio::get_associated_cancellation_slot(handler);
        asio::any_io_executor executor = asio::get_associated_executor(handler);
        auto held = self->lock();
        if (!self->open()) {
            const auto last = self->phase_;
            held.unlock();
            asio::post(executor, [h = std::move(handler), last]() mutable { std::move(h)(last); });
            return;
        }
        self->waiter_.emplace(std::move(handler));
        self->executor_ = std::move(executor);
        held.unlock();
        if (!slot.is_connected()) return;
        slot.assign([weak = std::weak_ptr(self)](asio::cancellation_type) {
            const auto target = weak.lock();
            if (!target) return;
            auto held = target->lock();
            if (target->open()) target->end(std::move(held), phase::cancelled);
        });
    }
};

awaitable<one_shot_core::phase> one_shot_core::suspend(std::shared_ptr<one_shot_core> self) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(phase)>(initiation(), asio::use_awaitable,
                                                                            std::move(self));
}

awaitable<one_shot_core::phase> one_shot_core::suspend_until(std::shared_ptr<one_shot_core> self, deadline until) {
    asio::steady_timer timer(co_await asio::this_coro::executor, until.at());
    timer.async_wait([self](const boost::system::error_code& stopped) {
        if (stopped) return;
        auto held = self->lock();
        if (self->open()) self->end(std::move(held), phase::expired);
    });
    co_return co_await suspend(std::move(self));
}

awaitable<one_shot_core::phase> one_shot_core::wait(std::shared_ptr<one_shot_core> self, deadline until) {
    return until.is_never() ? suspend(std::move(self)) : suspend_until(std::move(self), until);
}

}  // namespace keepstore
