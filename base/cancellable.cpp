#include "base/cancellable.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>

namespace keepstore {
namespace {

// How soon a cancellation that found nothing to cancel is repeated.
constexpr std::chrono::milliseconds cancel_again_after{10};

auto calling(ended_callback ended) {
    return [ended = std::move(ended)](std::exception_ptr thrown) mutable {
        if (ended) ended(std::move(thrown));
    };
}

}  // namespace

awaitable<bool> is_cancelled() {
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return state.cancelled() != asio::cancellation_type::none;
}

void spawn(const asio::any_io_executor& executor, awaitable<void> work, ended_callback ended) {
    asio::co_spawn(executor, std::move(work), calling(std::move(ended)));
}

void spawn(const asio::any_io_executor& executor, awaitable<void> work, asio::cancellation_slot slot,
           ended_callback ended) {
    asio::co_spawn(executor, std::move(work), asio::bind_cancellation_slot(slot, calling(std::move(ended))));
}

void cancellable_task::cancel() {
    if (ended_.load(std::memory_order_acquire) || cancelling_.exchange(true)) return;
    spawn(executor_, keep_cancelling(shared_from_this()));
}

awaitable<void> cancellable_task::keep_cancelling(std::shared_ptr<cancellable_task> self) {
    asio::steady_timer timer(self->executor_);
    while (!self->ended_.load(std::memory_order_acquire)) {
        self->signal_.emit(asio::cancellation_type::total);
        timer.expires_after(cancel_again_after);
        const auto [failed] = co_await expiry(timer);
        if (failed) co_return;
    }
}

}  // namespace keepstore
