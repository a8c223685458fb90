#include "volumes/directory/block_calls.hpp"

#include <algorithm>

namespace keepstore::volumes::directory {

// A turn at the pool. Destroyed without having run (its time passed in the pool's queue, or the queue is full) it
// fails; in any case the block's next turn starts.
class block_calls::job {
  public:
    job(std::shared_ptr<block_calls> home, const md5_digest& name, std::shared_ptr<turn> mine)
        : home_(std::move(home)), name_(name), turn_(std::move(mine)) {}
    job(job&&) noexcept = default;
    job& operator=(job&&) = delete;
    ~job() {
        if (!home_) return;
        turn_->fail(error(errc::unavailable, "volume is overloaded or does not respond"));
        home_->end(name_);
    }
    result<void> operator()(deadline limit) {
        if (!home_->is_left(*turn_)) turn_->work(limit);
        std::exchange(home_, nullptr)->end(name_);
        return success();
    }

  private:
    std::shared_ptr<block_calls> home_;
    md5_digest name_;
    std::shared_ptr<turn> turn_;
};

std::size_t block_calls::blocks() const {
    const std::lock_guard lock(mutex_);
    return queues_.size();
}

void block_calls::enqueue(const md5_digest& name, const std::shared_ptr<turn>& mine) {
    {
        const std::lock_guard lock(mutex_);
        auto& waiting = queues_[name];
        waiting.push_back(mine);
        if (waiting.size() > 1) return;
    }
    start(name, mine);
}

std::shared_ptr<block_calls::turn> block_calls::join_touch(const md5_digest& name,
                                                           std::move_only_function<result<void>(deadline)> touch,
                                                           const one_shot<std::monostate>& done, deadline until) {
    auto mine = std::make_shared<turn>();
    mine->until = until;
    mine->shared = true;
    mine->joined.push_back(done);
    // The turn owns these, so they hold it by pointer.
    mine->work = [this, me = mine.get(), touch = std::move(touch)](deadline limit) mutable {
        const auto served = close(*me);
        const auto outcome = touch(limit);
        for (const auto& waiter : served) {
            if (outcome) {
                waiter.set(std::monostate{});
            } else {
                waiter.set(std::unexpected(outcome.error()));
            }
        }
    };
    mine->fail = [this, me = mine.get()](const error& why) {
        for (const auto& waiter : close(*me)) waiter.set(std::unexpected(why));
    };
    {
        const std::lock_guard lock(mutex_);
        auto& waiting = queues_[name];
        if (!waiting.empty() && waiting.back()->shared) {
            waiting.back()->joined.push_back(done);
            waiting.back()->until = until;
            return waiting.back();
        }
        waiting.push_back(mine);
        if (waiting.size() > 1) return mine;
    }
    start(name, mine);
    return mine;
}

void block_calls::leave(const md5_digest& name, const std::shared_ptr<turn>& mine) {
    const std::lock_guard lock(mutex_);
    leave_locked(name, mine);
}

bool block_calls::is_left(const turn& which) const {
    const std::lock_guard lock(mutex_);
    return which.left;
}

void block_calls::leave_locked(const md5_digest& name, const std::shared_ptr<turn>& mine) {
    mine->left = true;
    mine->shared = false;
    const auto at = queues_.find(name);
    if (at == queues_.end()) return;
    // The first one belongs to the pool.
    const auto found = std::find(at->second.begin() + 1, at->second.end(), mine);
    if (found != at->second.end()) at->second.erase(found);
}

void block_calls::leave_touch(const md5_digest& name, const std::shared_ptr<turn>& mine,
                              const one_shot<std::monostate>& done) {
    const std::lock_guard lock(mutex_);
    std::erase_if(mine->joined, [&](const auto& waiter) { return waiter.same_as(done); });
    if (mine->joined.empty()) leave_locked(name, mine);
}

void block_calls::start(const md5_digest& name, std::shared_ptr<turn> first) {
    const auto pool = pool_.lock();
    deadline limit;
    {
        const std::lock_guard lock(mutex_);
        limit = first->until;
    }
    job next(shared_from_this(), name, std::move(first));
    if (!pool) return;
    static_cast<void>(pool->start([next = std::move(next), limit]() mutable { return next(limit); }, limit));
}

void block_calls::end(const md5_digest& name) {
    std::shared_ptr<turn> next;
    {
        const std::lock_guard lock(mutex_);
        const auto at = queues_.find(name);
        at->second.pop_front();
        if (at->second.empty()) {
            queues_.erase(at);
            return;
        }
        next = at->second.front();
    }
    start(name, std::move(next));
}

std::vector<one_shot<std::monostate>> block_calls::close(turn& touch) {
    const std::lock_guard lock(mutex_);
    touch.shared = false;
    return std::exchange(touch.joined, {});
}

}  // namespace keepstore::volumes::directory
