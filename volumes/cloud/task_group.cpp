#include "volumes/cloud/task_group.hpp"

#include "base/text.hpp"
#include "volumes/cloud/limits.hpp"

#include <algorithm>

namespace keepstore::volumes::cloud {

unsigned task_group::loops_for(unsigned loops) noexcept {
    return loops > 0 ? loops : std::min(usable_processors(), limits::cloud_volume_loops_max);
}

task_group::task_group(unsigned loops, std::string service)
    : service_(std::move(service)),
      loops_(lower_case(service_), loops_for(loops)),
      executors_(loops_.executors()),
      loads_(executors_.size()) {
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

std::vector<std::size_t> task_group::loads() const {
    const std::lock_guard lock(mutex_);
    return loads_;
}

std::pair<std::shared_ptr<loop_task>, bool> task_group::add(bool abortable) {
    const std::lock_guard lock(mutex_);
    const auto loop = static_cast<std::size_t>(std::ranges::min_element(loads_) - loads_.begin());
    auto task = std::make_shared<loop_task>(executors_[loop]);
    if (stopping_) return {std::move(task), false};
    tasks_.emplace(task, running{.loop = loop, .abortable = abortable});
    ++loads_[loop];
    return {std::move(task), true};
}

void task_group::forget(const std::shared_ptr<loop_task>& task) {
    const std::lock_guard lock(mutex_);
    if (const auto found = tasks_.find(task); found != tasks_.end()) {
        --loads_[found->second.loop];
        tasks_.erase(found);
    }
    if (stopping_ && tasks_.empty()) all_ended_.notify_all();
}

void task_group::cancel_all(bool also_unabortable) {
    std::vector<std::shared_ptr<loop_task>> cancelled;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [task, where] : tasks_) {
            if (where.abortable || also_unabortable) cancelled.push_back(task);
        }
    }
    for (const auto& task : cancelled) {
        task->aborted_.store(true, std::memory_order_release);
        task->cancel();
    }
}

}  // namespace keepstore::volumes::cloud
