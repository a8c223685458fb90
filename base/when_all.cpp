#include "base/when_all.hpp"

#include "base/cancellable.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <variant>

namespace keepstore {

awaitable<bool> when_all(std::vector<awaitable<void>> members) {
    struct state {
        std::size_t running;
        one_shot<std::monostate> finished;
        std::exception_ptr thrown;
        std::vector<asio::cancellation_signal> signals;
    };
    if (members.empty()) co_return false;
    const auto executor = co_await asio::this_coro::executor;
    auto shared = std::make_shared<state>();
    shared->running = members.size();
    shared->signals = std::vector<asio::cancellation_signal>(members.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
        spawn(executor, run_cancellable(std::move(members[i])), shared->signals[i].slot(),
              [shared](std::exception_ptr e) {
                  if (e && !shared->thrown) shared->thrown = e;
                  if (--shared->running == 0) shared->finished.set(std::monostate{});
              });
    }
    bool cancelled = false;
    while (true) {
        // A cancelled wait is over for that one-shot; a fresh one takes its place.
        const auto outcome = co_await shared->finished.wait();
        if (outcome) break;
        cancelled = true;
        shared->finished = one_shot<std::monostate>();
        if (shared->running == 0) break;
        for (auto& signal : shared->signals) signal.emit(asio::cancellation_type::total);
    }
    if (shared->thrown) std::rethrow_exception(shared->thrown);
    co_return cancelled;
}

}  // namespace keepstore
