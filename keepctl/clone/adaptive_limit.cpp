#include "keepctl/clone/adaptive_limit.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

adaptive_limit::adaptive_limit(unsigned most, clock::time_point now)
    : most_(std::max(1U, most)), limit_(std::min(most_, limits::clone_requests_first)), before_(limit_) {
    begin_window(now);
}

void adaptive_limit::set_most(unsigned most) noexcept {
    most_ = std::max(1U, most);
    limit_ = std::min(limit_, most_);
    before_ = std::min(before_, most_);
}

void adaptive_limit::begin_window(clock::time_point now) noexcept {
    window_began_ = now;
    done_ = 0;
    wanted_more_ = false;
}

void adaptive_limit::completed(bool waiting, clock::time_point now) {
    ++done_;
    wanted_more_ = wanted_more_ || waiting;
    const auto passed = now - window_began_;
    // A window in which not even each place was used once says nothing.
    if (passed < (doubling_ ? limits::clone_growth_window : limits::clone_steady_window) || done_ < limit_) return;
    const double rate = static_cast<double>(done_) / std::chrono::duration<double>(passed).count();
    const bool better = rate > rate_before_ * limits::clone_gain_min;
    const bool used = wanted_more_;
    begin_window(now);
    // One window without a gain may be noise.
    if (grew_ && !better && !std::exchange(doubted_, true)) return;
    doubted_ = false;
    if (grew_ && !better) {
        // The last step was for nothing.
        limit_ = before_;
        doubling_ = false;
        grew_ = false;
        return;
    }
    rate_before_ = rate;
    grew_ = false;
    if (!used || limit_ >= most_) return;
    before_ = limit_;
    limit_ = std::min(most_, doubling_ ? 2 * limit_ : limit_ + std::max(1U, limit_ / 4));
    grew_ = true;
}

void adaptive_limit::throttled(clock::time_point now) {
    doubling_ = false;
    if (cut_at_ != clock::time_point{} && now - cut_at_ < limits::clone_cut_interval) return;
    cut_at_ = now;
    limit_ = std::max(1U, limit_ / 2);
    before_ = limit_;
    grew_ = false;
    doubted_ = false;
    rate_before_ = 0;
    begin_window(now);
}

}  // namespace keepstore::keepctl
