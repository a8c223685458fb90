#include "daemon/background_tasks.hpp"

#include "base/cancellable.hpp"
#include "base/log.hpp"

#include <exception>
#include <utility>

namespace keepstore::daemon {

void background_tasks::spawn(std::string name, awaitable<void> work) {
    auto& task = tasks_.emplace_back();
    task.ended = task.promise.get_future();
    keepstore::spawn(executor_, run_cancellable(std::move(work)), task.signal.slot(),
                     [&task, name](const std::exception_ptr& thrown) {
                         if (thrown) log::error("background task failed", {{"task", name}});
                         task.promise.set_value();
                     });
}

void background_tasks::cancel() {
    for (auto& task : tasks_) run_later(executor_, [&task] { task.signal.emit(asio::cancellation_type::total); });
}

bool background_tasks::wait(std::chrono::steady_clock::time_point until) {
    bool all = true;
    for (auto& task : tasks_) {
        if (task.ended.wait_until(until) == std::future_status::ready) continue;
        log::warning("a background task does not end");
        all = false;
    }
    return all;
}

}  // namespace keepstore::daemon
