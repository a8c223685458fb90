#include "volumes/s3/loop_set.hpp"

#include "base/limits.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>

namespace keepstore::volumes::s3 {
namespace {

unsigned usable_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1U, std::thread::hardware_concurrency());
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

// A cancelled task ends at once; this is for what must not happen.
constexpr std::chrono::seconds stop_wait{3};

}  // namespace

loop_set::loop_set(unsigned count) {
    const unsigned wanted = count > 0 ? count : std::min(usable_processors(), limits::s3_volume_loops_max);
    for (unsigned i = 0; i < wanted; ++i) {
        auto& l = *loops_.emplace_back(std::make_unique<loop>());
        l.thread = std::thread([&l, i] {
            pthread_setname_np(pthread_self(), fmt::format("s3/{}", i).c_str());
            l.context.run();
        });
    }
}

void loop_set::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
    }
    cancel_all(true);
    {
        std::unique_lock lock(mutex_);
        all_ended_.wait_for(lock, stop_wait, [this] { return tasks_.empty(); });
    }
    for (const auto& l : loops_) {
        l->work.reset();
        l->context.stop();
    }
    for (const auto& l : loops_) l->thread.join();
}

asio::any_io_executor loop_set::next_executor() {
    const auto i = next_.fetch_add(1, std::memory_order_relaxed);
    return loops_[i % loops_.size()]->context.get_executor();
}

bool loop_set::remember(const std::shared_ptr<loop_task>& task, bool abortable) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    tasks_.emplace(task, abortable);
    return true;
}

void loop_set::forget(const std::shared_ptr<loop_task>& task) {
    const std::lock_guard lock(mutex_);
    tasks_.erase(task);
    if (stopping_ && tasks_.empty()) all_ended_.notify_all();
}

void loop_set::cancel_all(bool also_unabortable) {
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

}  // namespace keepstore::volumes::s3
