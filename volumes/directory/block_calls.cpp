#include "volumes/directory/block_calls.hpp"

#include <algorithm>

namespace keepstore::volumes::directory {

struct block_calls::touch_turn final : turn {
    struct waiter {
        one_shot<std::monostate> done;
        bool ends_at_stall;
    };

    touch_turn(block_calls& calls, touch_call call, deadline limit)
        : turn(limit), home(calls), touch(std::move(call)) {}

    const error* work(deadline limit) override {
        outcome.emplace(touch(limit));
        return *outcome ? nullptr : &outcome->error();
    }
    void deliver() override {
        if (!outcome) return;
        std::vector<waiter> served;
        {
            const std::lock_guard lock(home.mutex_);
            served.swap(waiters);
        }
        for (const auto& w : served) {
            if (*outcome) {
                w.done.set(std::monostate{});
            } else {
                w.done.set(std::unexpected(outcome->error()));
            }
        }
    }
    void fail(const error& why, bool stalled) override {
        for (const auto& w : waiters) {
            if (!stalled || w.ends_at_stall) w.done.set(std::unexpected(why));
        }
    }
    bool ends_at_stall() const noexcept override { return std::ranges::any_of(waiters, &waiter::ends_at_stall); }

    block_calls& home;
    touch_call touch;
    std::optional<result<void>> outcome;
    std::vector<waiter> waiters;  // Guarded by home.mutex_.
};

// A turn at the pool. Whether it runs, or is dropped because its time passed or the pool takes no calls: with its end
// the block's next turn starts.
class block_calls::job final : public blocking_pool::job {
  public:
    job(std::shared_ptr<block_calls> home, const md5_digest& name, std::shared_ptr<turn> mine, deadline limit)
        : home_(std::move(home)), name_(name), turn_(std::move(mine)), limit_(limit) {}
    ~job() override {
        if (delivered_) return;
        {
            const std::lock_guard lock(home_->mutex_);
            turn_->fail(error(errc::unavailable, "volume is overloaded or does not respond"), false);
        }
        home_->end(name_, turn_);
    }

    const error* run() override { return home_->begin(name_, turn_) ? turn_->work(limit_) : nullptr; }
    void deliver() override {
        turn_->deliver();
        delivered_ = true;
        home_->end(name_, turn_);
    }
    void expire(error why) override {
        if (why == errc::unavailable) {
            home_->stalled(name_, why);
            return;
        }
        const std::lock_guard lock(home_->mutex_);
        turn_->fail(why, false);
    }
    bool ends_at_stall() const noexcept override {
        const std::lock_guard lock(home_->mutex_);
        return turn_->ends_at_stall();
    }

  private:
    const std::shared_ptr<block_calls> home_;
    const md5_digest name_;
    const std::shared_ptr<turn> turn_;
    const deadline limit_;
    bool delivered_ = false;
};

result<void> block_calls::admit(deadline until) const {
    if (!until.ends_at_stall()) return success();
    const auto pool = pool_.lock();
    if (!pool || !pool->activity_of(blocking_pool::work::commit).stalled()) return success();
    return fail(errc::unavailable, "volume does not respond");
}

awaitable<result<void>> block_calls::run_touch(md5_digest name, touch_call touch, deadline until) {
    KS_CO_CHECK(admit(until));
    until = until.within(limits::volume_call_max);
    const one_shot<std::monostate> done;
    std::shared_ptr<touch_turn> mine;
    bool joined = false;
    {
        const std::lock_guard lock(mutex_);
        auto& place = joinable_[name];
        joined = place != nullptr;
        if (!joined) place = std::make_shared<touch_turn>(*this, std::move(touch), until);
        mine = place;
        mine->until = until;
        mine->waiters.push_back({done, until.ends_at_stall()});
    }
    if (!joined) enqueue(name, mine);
    auto value = co_await done.wait(until, "volume does not respond");
    if (value) co_return success();
    const std::lock_guard lock(mutex_);
    std::erase_if(mine->waiters, [&](const auto& w) { return w.done.same_as(done); });
    if (mine->waiters.empty()) leave(name, mine);
    co_return std::unexpected(value.error());
}

void block_calls::single_turn::deliver() {
    if (has_outcome()) done.set(std::monostate{});
}

void block_calls::single_turn::fail(const error& why, bool stalled) {
    if (!stalled || until.ends_at_stall()) done.set(std::unexpected(why));
}

awaitable<result<void>> block_calls::run_turn(md5_digest name, std::shared_ptr<single_turn> mine) {
    const deadline until = mine->until;  // Nothing changes that of a single turn.
    enqueue(name, mine);
    auto delivered = co_await mine->done.wait(until, "volume does not respond");
    if (delivered) co_return success();
    const std::lock_guard lock(mutex_);
    leave(name, mine);
    co_return std::unexpected(std::move(delivered).error());
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

void block_calls::close(const md5_digest& name, const std::shared_ptr<turn>& mine) {
    if (const auto at = joinable_.find(name); at != joinable_.end() && at->second == mine) joinable_.erase(at);
}

void block_calls::leave(const md5_digest& name, const std::shared_ptr<turn>& mine) {
    mine->left = true;
    close(name, mine);
    const auto at = queues_.find(name);
    if (at == queues_.end()) return;
    // The first one belongs to the pool.
    const auto found = std::find(at->second.begin() + 1, at->second.end(), mine);
    if (found != at->second.end()) at->second.erase(found);
}

bool block_calls::begin(const md5_digest& name, const std::shared_ptr<turn>& mine) {
    const std::lock_guard lock(mutex_);
    close(name, mine);
    return !mine->left;
}

void block_calls::stalled(const md5_digest& name, const error& why) {
    const auto pool = pool_.lock();
    const bool given_up = !pool || pool->activity_of(blocking_pool::work::commit).silence >= silence_max_;
    const std::lock_guard lock(mutex_);
    const auto at = queues_.find(name);
    if (at == queues_.end()) return;
    for (const auto& waiting : at->second) waiting->fail(why, !given_up);
}

void block_calls::start(const md5_digest& name, std::shared_ptr<turn> first) {
    deadline limit;
    {
        const std::lock_guard lock(mutex_);
        limit = first->until;
    }
    // Without the pool, and where the pool refuses it, the job ends here.
    const auto next = std::make_shared<job>(shared_from_this(), name, std::move(first), limit);
    if (const auto pool = pool_.lock()) {
        static_cast<void>(pool->submit(next, limit.ending_at_stall(false), blocking_pool::work::commit));
    }
}

void block_calls::end(const md5_digest& name, const std::shared_ptr<turn>& mine) {
    std::shared_ptr<turn> next;
    {
        const std::lock_guard lock(mutex_);
        close(name, mine);
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

}  // namespace keepstore::volumes::directory
