#include "pool/lease_pool.hpp"

#include "base/async_condition.hpp"
#include "base/limits.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <mutex>

namespace keepstore::pool {

// Invariant: free + the reservations of live leases + the chunks in use of ended leases = all chunks of the pool. So a
// lease with fewer chunks in use than it has reserved finds one in `memory`, if the system gives the memory.
struct lease_pool::core {
    core(std::size_t budget, std::function<void()> callback, buffer_pool::map_function map)
        : memory(budget, map),
          on_exhausted(std::move(callback)),
          free(memory.snapshot().budget_bytes / limits::chunk_size_bytes) {}

    struct waiter {
        std::shared_ptr<account> asks;
        one_shot<lease> turn;
    };

    void release(std::size_t chunks) noexcept;
    std::optional<waiter> next_waiter() noexcept;

    buffer_pool memory;
    const std::function<void()> on_exhausted;
    mutable std::mutex mutex;
    // Guarded by mutex.
    std::size_t free;
    std::deque<waiter> waiters;  // The first one fits no more than `free` allows.
    std::uint64_t waits = 0;
};

// What a lease and its chunks share.
struct lease_pool::account {
    account(std::shared_ptr<core> c, std::size_t chunks) : home(std::move(c)), reserved(chunks) {}

    const std::shared_ptr<core> home;
    const std::size_t reserved;
    // Guarded by home->mutex.
    std::size_t in_use = 0;
    bool ended = false;
    async_condition came_back{home->mutex};

    void give_back() noexcept {
        {
            const std::lock_guard lock(home->mutex);
            --in_use;
            if (!ended) {
                came_back.notify_all();
                return;
            }
        }
        home->release(1);
    }
};

class lease_pool::leased_chunk final : public buffer_owner {
  public:
    leased_chunk(mutable_slice memory, std::shared_ptr<account> a)
        : memory_(std::move(memory)), account_(std::move(a)) {}
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return memory_.bytes; }

  private:
    void recycle() noexcept override {
        const auto account = std::move(account_);
        delete this;  // The memory is back before it is counted as such.
        account->give_back();
    }

    const mutable_slice memory_;
    std::shared_ptr<account> account_;
};

// Takes the reservation of the first waiter from what is free, if there is enough.
std::optional<lease_pool::core::waiter> lease_pool::core::next_waiter() noexcept {
    const std::lock_guard lock(mutex);
    if (waiters.empty() || waiters.front().asks->reserved > free) return std::nullopt;
    waiter first = std::move(waiters.front());
    waiters.pop_front();
    free -= first.asks->reserved;
    return first;
}

void lease_pool::core::release(std::size_t chunks) noexcept {
    {
        const std::lock_guard lock(mutex);
        free += chunks;
    }
    while (auto next = next_waiter()) {
        result<lease> granted = lease(next->asks);
        if (next->turn.try_set(std::move(granted))) continue;
        // It was cancelled and has not resumed yet: the one after it is served.
        granted->account_.reset();
        const std::lock_guard lock(mutex);
        free += next->asks->reserved;
    }
}

lease_pool::lease_pool(std::size_t budget_bytes, std::function<void()> on_exhausted, buffer_pool::map_function map)
    : core_(std::make_shared<core>(budget_bytes, std::move(on_exhausted), map)) {}

awaitable<result<lease_pool::lease>> lease_pool::take(std::size_t chunks, deadline until) {
    const std::size_t all = core_->memory.snapshot().budget_bytes / limits::chunk_size_bytes;
    auto mine = std::make_shared<account>(core_, std::clamp<std::size_t>(chunks, 1, all));
    const one_shot<lease> turn;
    {
        const std::lock_guard lock(core_->mutex);
        if (core_->waiters.empty() && core_->free >= mine->reserved) {
            core_->free -= mine->reserved;
            co_return lease(std::move(mine));
        }
        ++core_->waits;
        core_->waiters.push_back({std::move(mine), turn});
    }
    core_->on_exhausted();
    auto got = co_await turn.wait(until, "no memory became free in time");
    if (!got) {
        {
            const std::lock_guard lock(core_->mutex);
            std::erase_if(core_->waiters, [&](const auto& w) { return w.turn.same_as(turn); });
        }
        core_->release(0);  // The one after it may need less.
    }
    co_return got;
}

buffer_pool::stats lease_pool::snapshot() const {
    auto out = core_->memory.snapshot();
    const std::lock_guard lock(core_->mutex);
    out.waiters = core_->waiters.size();
    out.waits_total = core_->waits;
    return out;
}

lease_pool::lease::~lease() {
    if (!account_) return;
    std::size_t unused = 0;
    {
        const std::lock_guard lock(account_->home->mutex);
        account_->ended = true;
        unused = account_->reserved - account_->in_use;
    }
    account_->home->release(unused);
}

std::optional<mutable_slice> lease_pool::lease::try_acquire() {
    {
        const std::lock_guard lock(account_->home->mutex);
        if (account_->in_use == account_->reserved) return std::nullopt;
        ++account_->in_use;
    }
    auto memory = account_->home->memory.try_acquire();
    if (!memory) {
        account_->give_back();
        return std::nullopt;
    }
    auto* const owner = new leased_chunk(std::move(*memory), account_);
    return mutable_slice{owner->bytes(), buffer_ref(owner)};
}

awaitable<result<mutable_slice>> lease_pool::lease::acquire(deadline until) {
    account& mine = *account_;
    bool told = false;
    while (true) {
        std::unique_lock lock(mine.home->mutex);
        const std::size_t before = mine.in_use;
        lock.unlock();
        if (auto chunk = try_acquire()) co_return std::move(*chunk);
        lock.lock();
        if (mine.in_use != before) continue;  // One came back meanwhile.
        if (before == 0) co_return fail(errc::unavailable, "the system gives no memory");
        if (!std::exchange(told, true)) {
            lock.unlock();
            mine.home->on_exhausted();
            continue;
        }
        KS_CO_CHECK(co_await mine.came_back.wait(lock, until, "no memory became free in time"));
    }
}

std::size_t lease_pool::lease::queue_bytes() const noexcept {
    return std::max<std::size_t>(1, account_->reserved / 4) * limits::chunk_size_bytes;
}

}  // namespace keepstore::pool
