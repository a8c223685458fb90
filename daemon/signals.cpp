#include "daemon/signals.hpp"

#include "base/log.hpp"
#include "daemon/limits.hpp"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace keepstore::daemon {
namespace {

using namespace std::chrono_literals;
using clock = signals::clock;

/// How often the thread looks for a step or an end that is due.
constexpr auto check_interval = 50ms;

sigset_t waited_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, number);
    return set;
}

bool is_stop(int number) {
    return number == SIGTERM || number == SIGINT;
}

[[noreturn]] void end_process() {
    log::flush();
    std::_Exit(0);
}

}  // namespace

struct signals::shared {
    enum class phase { starting, serving, stopping };

    std::mutex mutex;
    std::condition_variable changed;
    // Guarded by mutex.
    phase now = phase::starting;
    std::string step = "the start";
    clock::time_point step_since = clock::now();
    clock::time_point notice_at = step_since + limits::start_step_notice;
    clock::duration stop_limit{};
    clock::time_point end_at = clock::time_point::max();
    std::deque<int> pending;

    [[noreturn]] void run() {
        pthread_setname_np(pthread_self(), "signals");
        const sigset_t set = waited_signals();
        while (true) {
            const timespec wait{0, std::chrono::nanoseconds(check_interval).count()};
            const bool only_signals = is_serving();
            const int number = only_signals ? sigwaitinfo(&set, nullptr) : sigtimedwait(&set, nullptr, &wait);
            if (number > 0) take(number);
            check_time();
        }
    }

    bool is_serving() {
        const std::lock_guard lock(mutex);
        return now == phase::serving;
    }

    void take(int number) {
        std::unique_lock lock(mutex);
        if (is_stop(number) && now == phase::starting) {
            const std::string where = step;
            lock.unlock();
            log::info("stopped by a signal during the start", {{"step", where}});
            end_process();
        }
        if (is_stop(number) && now == phase::stopping) {
            lock.unlock();
            log::warning("second signal: not waiting for the requests that still run");
            end_process();
        }
        if (now == phase::starting) return;
        if (is_stop(number)) {
            now = phase::stopping;
            end_at = clock::now() + stop_limit;
        }
        pending.push_back(number);
        changed.notify_one();
    }

    void check_time() {
        std::unique_lock lock(mutex);
        const auto at = clock::now();
        if (now == phase::stopping && at >= end_at) {
            lock.unlock();
            log::warning("stopped while calls that do not respond are pending, on a volume or for a name server");
            end_process();
        }
        if (now != phase::starting || at < notice_at) return;
        notice_at = at + limits::start_step_notice_again;
        const std::string what = step;
        const auto waited = std::chrono::duration<double>(at - step_since).count();
        lock.unlock();
        log::warning("the start waits: " + what, {{"seconds", log::seconds_value{waited}}});
    }
};

signals::signals() : shared_(std::make_shared<shared>()) {
    const sigset_t set = waited_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // A client that left is an error of the write, not the end of the process.
    std::signal(SIGXFSZ, SIG_IGN);  // Likewise a file size limit (LimitFSIZE=).
    try {
        std::thread([kept = shared_] { kept->run(); }).detach();
    } catch (const std::system_error& e) {
        throw std::system_error(e.code(), "cannot make a thread for signals");
    }
}

void signals::starting(std::string step) {
    const std::lock_guard lock(shared_->mutex);
    shared_->step = std::move(step);
    shared_->step_since = clock::now();
    shared_->notice_at = shared_->step_since + limits::start_step_notice;
}

void signals::serving(clock::duration stop_limit) {
    const std::lock_guard lock(shared_->mutex);
    shared_->now = shared::phase::serving;
    shared_->stop_limit = std::min<clock::duration>(stop_limit, std::chrono::years(1));
}

int signals::wait(clock::time_point until) {
    std::unique_lock lock(shared_->mutex);
    const auto limit = std::min(until, clock::now() + 1h);  // Waits to the end of time overflow in libstdc++.
    if (!shared_->changed.wait_until(lock, limit, [&] { return !shared_->pending.empty(); })) return 0;
    const int number = shared_->pending.front();
    shared_->pending.pop_front();
    return number;
}

void signals::end_within(clock::duration limit) {
    const std::lock_guard lock(shared_->mutex);
    shared_->end_at = std::min(shared_->end_at, clock::now() + limit);
}

}  // namespace keepstore::daemon
