#include "daemon/signals.hpp"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <ctime>

namespace keepstore::daemon {
namespace {

using clock = std::chrono::steady_clock;

sigset_t waited_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, number);
    return set;
}

}  // namespace

void block_signals() {
    const sigset_t set = waited_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // A client that left is an error of the write, not the end of the process.
    std::signal(SIGXFSZ, SIG_IGN);  // Likewise a file size limit (LimitFSIZE=).
}

int wait_for_signal(clock::time_point until) {
    const sigset_t set = waited_signals();
    const auto left = std::clamp<clock::duration>(until - clock::now(), clock::duration::zero(), std::chrono::hours(1));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    timespec wait{};
    wait.tv_sec = seconds.count();
    wait.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(left - seconds).count();
    const int number = sigtimedwait(&set, nullptr, &wait);
    return number > 0 ? number : 0;
}

}  // namespace keepstore::daemon
