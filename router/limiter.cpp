#include "router/limiter.hpp"

#include <algorithm>

namespace keepstore::router {

limiter::place::~place() {
    if (!owner_) return;
    grants out;
    {
        const std::lock_guard lock(owner_->mutex_);
        if (stalled_) {
            --owner_->stalled_;
        } else {
            --owner_->concurrent_;
        }
        owner_->admit_waiters(out);
    }
    owner_->deliver(out);
}

void limiter::place::release_while_stalled() noexcept {
    if (!owner_ || stalled_) return;
    stalled_ = true;
    grants out;
    {
        const std::lock_guard lock(owner_->mutex_);
        --owner_->concurrent_;
        ++owner_->stalled_;
        owner_->admit_waiters(out);
    }
    owner_->deliver(out);
}

void limiter::place::resume() noexcept {
    if (!owner_ || !stalled_) return;
    stalled_ = false;
    const std::lock_guard lock(owner_->mutex_);
    ++owner_->concurrent_;
    --owner_->stalled_;
}

void limiter::count_immediate_entry(int priority) {
    ++concurrent_;
    delay_[class_of(priority)].observe(clock::duration::zero(), clock::now());
}

std::optional<limiter::place> limiter::try_enter(int priority) {
    const std::lock_guard lock(mutex_);
    if (!has_room()) return std::nullopt;
    count_immediate_entry(priority);
    return place(this);
}

awaitable<result<limiter::place>> limiter::enter(int priority) {
    one_shot<place> got;
    std::optional<one_shot<place>> evicted;
    {
        const std::lock_guard lock(mutex_);
        if (has_room()) {
            count_immediate_entry(priority);
            co_return place(this);
        }
        queue_[priority].push_back({got, clock::now()});
        ++queued_;
        if (queued_ > options_.queued_max) evicted = evict_last();
    }
    if (evicted) evicted->set(fail(errc::unavailable, "too many requests are waiting"));
    auto outcome = co_await got.wait();
    if (!outcome && outcome.error() == errc::cancelled) {
        const std::lock_guard lock(mutex_);
        auto& line = queue_[priority];
        const auto me = std::ranges::find_if(line, [&](const waiter& w) { return w.got.same_as(got); });
        if (me != line.end()) {
            const auto now = clock::now();
            timeout_[class_of(priority)].observe(now - me->since, now);
            line.erase(me);
            --queued_;
        }
        if (line.empty()) queue_.erase(priority);
    }
    co_return outcome;
}

// Removes the last waiter of the lowest priority from the queue.
std::optional<one_shot<limiter::place>> limiter::evict_last() {
    const auto lowest = std::prev(queue_.end());
    auto& [priority, line] = *lowest;
    waiter last = std::move(line.back());
    line.pop_back();
    --queued_;
    const auto now = clock::now();
    timeout_[class_of(priority)].observe(now - last.since, now);
    if (line.empty()) queue_.erase(lowest);
    return std::move(last.got);
}

// Moves waiters from the queue to `out` while there is room, and counts them as concurrent. The caller delivers them
// without the lock.
void limiter::admit_waiters(grants& out) {
    while (queued_ > 0 && has_room()) {
        const auto highest = queue_.begin();
        auto& [priority, line] = *highest;
        waiter first = std::move(line.front());
        line.pop_front();
        --queued_;
        ++concurrent_;
        const auto now = clock::now();
        delay_[class_of(priority)].observe(now - first.since, now);
        if (line.empty()) queue_.erase(highest);
        out.push_back(std::move(first.got));
    }
}

void limiter::deliver(grants& out) noexcept {
    // If the waiter was cancelled meanwhile, its place is destroyed unused and so released.
    for (const auto& got : out) got.set(place(this));
}

limiter::stats limiter::snapshot() const {
    const std::lock_guard lock(mutex_);
    stats out;
    out.concurrent = concurrent_;
    out.stalled = stalled_;
    out.concurrent_max = options_.concurrent_max;
    out.queued_max = options_.queued_max;
    for (const auto& [priority, line] : queue_) out.queued[class_of(priority)] += line.size();
    const auto now = clock::now();
    for (std::size_t i = 0; i < priority_classes; ++i) {
        out.delay[i] = delay_[i].snapshot(now);
        out.timeout[i] = timeout_[i].snapshot(now);
    }
    return out;
}

}  // namespace keepstore::router
