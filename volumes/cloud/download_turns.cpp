#include "volumes/cloud/download_turns.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace keepstore::volumes::cloud {

namespace {

constexpr std::size_t continuing_share = 8;  // One turn in eight.
constexpr const char* none_free = "no download has ended or paused in time";

}  // namespace

download_turns::download_turns(options o)
    : options_(std::move(o)),
      free_(options_.most),
      again_(std::max<std::size_t>(1, options_.most / continuing_share)),
      limit_(options_.most) {
    withheld_.reserve(options_.most);  // So that give_back() cannot fail.
}

awaitable<result<download_turns::turn>> download_turns::take(claim kind, deadline until) {
    follow_service();
    async_semaphore::permit place;
    if (kind == claim::again) {
        KS_CO_TRY(place, co_await again_.acquire(until, none_free));
    }
    KS_CO_TRY(auto permit, co_await free_.acquire(until, none_free));
    const std::lock_guard lock(mutex_);
    ++in_use_;
    co_return turn(*this, std::move(permit));
}

bool download_turns::is_over(const turn& mine) const {
    return clock::now() - mine.began_ >= options_.length && pausing_.load(std::memory_order_relaxed) &&
           free_.waiters() > 0;
}

bool download_turns::are_many() const {
    const std::lock_guard lock(mutex_);
    return in_use_ + free_.waiters() + again_.waiters() > std::min(options_.least, options_.most);
}

std::size_t download_turns::limit() const {
    const std::lock_guard lock(mutex_);
    return limit_;
}

void download_turns::give_back(async_semaphore::permit permit) noexcept {
    const std::lock_guard lock(mutex_);
    --in_use_;
    if (limit_ + withheld_.size() < options_.most) {
        withheld_.push_back(std::move(permit));
    } else {
        permit = {};
    }
}

void download_turns::follow_service() {
    const auto throttles = options_.throttles();
    const auto now = clock::now();
    const std::lock_guard lock(mutex_);
    if (throttles != throttles_seen_) {
        throttles_seen_ = throttles;
        if (changed_at_ && now - *changed_at_ < options_.fewer_interval) return;
        changed_at_ = now;
        const auto least = std::min(options_.least, options_.most);
        const auto fewer = std::max(least, std::min(limit_, in_use_) * 7 / 8);
        if (limit_ == options_.most && fewer < limit_) {
            log::info("the " + options_.where.service + " service throttles: fewer blocks are fetched at a time",
                      {{options_.where.kind, options_.where.name}, {"downloads", fewer}});
        }
        limit_ = std::min(limit_, fewer);
        while (limit_ + withheld_.size() < options_.most) {
            auto permit = free_.try_acquire();
            if (!permit) break;
            withheld_.push_back(std::move(*permit));
        }
    } else if (limit_ < options_.most && now - *changed_at_ >= options_.more_after) {
        changed_at_ = now;
        limit_ = std::min(options_.most, limit_ + std::max<std::size_t>(1, limit_ / 16));
        while (limit_ + withheld_.size() > options_.most && !withheld_.empty()) withheld_.pop_back();
    }
}

}  // namespace keepstore::volumes::cloud
