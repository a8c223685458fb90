#include "base/log_sink.hpp"

#include "base/limits.hpp"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <system_error>
#include <thread>
#include <utility>

namespace keepstore::log {
namespace {

// How long the writing thread gathers lines before it writes them.
constexpr std::chrono::milliseconds gather_time{1};

void write_all(std::string_view text) {
    while (!text.empty()) {
        const auto n = ::write(STDERR_FILENO, text.data(), text.size());
        if (n > 0) {
            text.remove_prefix(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN) {  // Stderr was made non-blocking, by a process that shares it.
            pollfd ready{STDERR_FILENO, POLLOUT, 0};
            ::poll(&ready, 1, 100);
        } else if (errno != EINTR) {
            return;  // Stderr is closed or broken, and there is no other place to log to.
        }
    }
}

}  // namespace

void batching_sink::drain() {
    std::unique_lock lock(queue_mutex_);
    const auto goal = queued_lines_;
    urgent_ = true;
    work_.notify_one();
    if (written_.wait_for(lock, limits::log_flush_wait, [&] { return written_lines_ >= goal; })) return;
    dropped_.fetch_add(goal - written_lines_, std::memory_order_relaxed);
    written_lines_ = goal;
    queue_.clear();
}

void batching_sink::log(const spdlog::details::log_msg& message) {
    bool wake = false;
    {
        const std::lock_guard lock(queue_mutex_);
        if (!have_thread()) return write_now({message.payload.data(), message.payload.size()});
        if (queue_.size() + message.payload.size() > limits::log_queue_bytes_max) {
            dropped_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        queue_.append(message.payload.data(), message.payload.size());
        queue_ += '\n';
        ++queued_lines_;
        wake = std::exchange(idle_, false);
    }
    if (wake) work_.notify_one();
}

// With queue_mutex_. \returns false if the system has no thread for this; the next line tries again.
bool batching_sink::have_thread() {
    if (started_) return true;
    try {
        std::thread([this] { write_for_ever(); }).detach();
    } catch (const std::system_error&) {
        return false;
    }
    return started_ = true;
}

// With queue_mutex_, while there is no thread: what stderr does not take at once is dropped.
void batching_sink::write_now(std::string_view line) {
    std::string text(line);
    text += '\n';
    for (std::string_view rest = text; !rest.empty();) {
        pollfd ready{STDERR_FILENO, POLLOUT, 0};
        // A pipe that is ready takes PIPE_BUF bytes without waiting.
        const auto n = ::poll(&ready, 1, 0) == 1
                           ? ::write(STDERR_FILENO, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF))
                           : -1;
        if (n <= 0) {
            dropped_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
}

void batching_sink::write_for_ever() {
    pthread_setname_np(pthread_self(), "log");
    std::string batch;
    std::unique_lock lock(queue_mutex_);
    while (true) {
        while (queue_.empty()) {
            idle_ = true;
            work_.wait(lock);
        }
        idle_ = false;
        if (!urgent_) work_.wait_for(lock, gather_time, [this] { return urgent_; });
        urgent_ = false;
        batch.swap(queue_);
        const auto lines = queued_lines_;
        lock.unlock();
        write_all(batch);
        batch.clear();
        lock.lock();
        written_lines_ = std::max(written_lines_, lines);
        written_.notify_all();
    }
}

}  // namespace keepstore::log
