#include "volumes/cloud/task_group.hpp"

#include "base/text.hpp"
#include "volumes/cloud/limits.hpp"

#include <algorithm>

namespace keepstore::volumes::cloud {

task_group::task_group(unsigned loops, std::string service)
    : service_(std::move(service)),
      loops_(lower_case(service_), loops > 0 ? loops : std::min(usable_processors(), limits::cloud_volume_loops_max)) {
    loops_.start();
}

void task_group::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
    }
    cancel_all(true);
    {
        std::unique_lock lock(mutex_);
        all_ended_.wait_for(lock, limits::cloud_stop_wait, [this] { return tasks_.empty(); });
    }
    loops_.stop();
}

bool task_group::remember(const std::shared_ptr<loop_task>& task, bool abortable) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    tasks_.emplace(task, abortable);
    return true;
}

void task_group::forget(const std::shared_ptr<loop_task>& task) {
    const std::lock_guard lock(mutex_);
    tasks_.erase(task);
    if (stopping_ && tasks_.empty()) all_ended_.notify_all();
}

void task_group::cancel_all(bool also_unabortable) {
    std::vector<std::shared_ptr<loop_task>> running;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [task, abortable] : tasks_) {
            if (abortable || also_unabortable) running.push_back(task);
        }
    }
    for (const auto& task : running) {
        task->aborted_.store(true, std::memory_order_release);
        task->cancel();
    }
}

}  // namespace keepstore::volumes::cloud
