#include "keepctl/cluster/server_health.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

server_health::clock::duration server_health::wait(clock::time_point now) const noexcept {
    return paused() ? std::max(probe_at_ - now, clock::duration::zero()) : clock::duration::zero();
}

server_health::clock::duration server_health::admit(clock::time_point now) noexcept {
    const auto left = wait(now);
    if (paused() && left == clock::duration::zero())
        probe_at_ = now + (full() ? limits::full_pause : limits::place_pause);
    return left;
}

bool server_health::succeeded() noexcept {
    failures_in_a_row_ = 0;
    return std::exchange(state_, state::working) != state::working;
}

bool server_health::failed(error why, clock::time_point now) {
    ++failures_in_a_row_;
    if (state_ == state::failing) why_ = std::move(why);
    if (state_ == state::failing || failures_in_a_row_ < limits::place_failures_max) return false;
    pause(state::failing, std::move(why), now);
    return true;
}

bool server_health::refused_as_full(error why, clock::time_point now) {
    // It responds: what is wrong is known better now.
    failures_in_a_row_ = 0;
    if (state_ == state::full) return false;
    pause(state::full, std::move(why), now);
    return true;
}

void server_health::pause(state next, error why, clock::time_point now) {
    if (!paused()) since_ = now;
    state_ = next;
    why_ = std::move(why);
    probe_at_ = now + (full() ? limits::full_pause : limits::place_pause);
}

}  // namespace keepstore::keepctl
