/// A list of work that is replaced as a whole: the pull and trash lists of a balance tool (docs/interface.md 2.16: a
/// new list takes the place of what is left of the old one; items in progress are finished). Safe to use from any
/// thread.
#pragma once

#include "base/async.hpp"

#include <atomic>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace keepstore::store {

template <class Item>
class work_queue {
  public:
    /// Forgets what is pending and puts `items` in its place.
    void replace(std::vector<Item> items) {
        std::deque<Item> old;
        std::vector<std::pair<one_shot<Item>, Item>> wake;
        {
            const std::lock_guard lock(mutex_);
            old.swap(pending_);
            pending_.assign(std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
            hand_out(wake);
        }
        for (auto& [waiter, item] : wake) give(waiter, std::move(item));
    }

    /// The next item; suspends while there is none. Call done() when it has been worked on. errc::cancelled.
    [[nodiscard]] awaitable<result<Item>> next() {
        one_shot<Item> waiter;
        {
            const std::lock_guard lock(mutex_);
            if (!pending_.empty()) {
                auto item = std::move(pending_.front());
                pending_.pop_front();
                ++in_progress_;
                co_return item;
            }
            waiters_.push_back(waiter);
        }
        auto item = co_await waiter.wait();
        if (!item) {
            const std::lock_guard lock(mutex_);
            std::erase_if(waiters_, [&](const one_shot<Item>& w) { return w.same_as(waiter); });
        }
        co_return item;
    }

    void done() {
        const std::lock_guard lock(mutex_);
        --in_progress_;
    }

    [[nodiscard]] std::size_t pending() const {
        const std::lock_guard lock(mutex_);
        return pending_.size();
    }
    [[nodiscard]] std::size_t in_progress() const {
        const std::lock_guard lock(mutex_);
        return in_progress_;
    }

    /// Calls done() when it goes, whatever became of the work.
    class in_hand {
      public:
        explicit in_hand(work_queue& queue) noexcept : queue_(queue) {}
        ~in_hand() { queue_.done(); }
        in_hand(const in_hand&) = delete;
        in_hand& operator=(const in_hand&) = delete;

      private:
        work_queue& queue_;
    };

  private:
    void hand_out(std::vector<std::pair<one_shot<Item>, Item>>& wake) {
        while (!waiters_.empty() && !pending_.empty()) {
            wake.emplace_back(std::move(waiters_.front()), std::move(pending_.front()));
            waiters_.pop_front();
            pending_.pop_front();
            ++in_progress_;
        }
    }

    void give(const one_shot<Item>& waiter, Item item) {
        if (!waiter.set(std::move(item))) done();  // The worker was cancelled: the daemon is stopping.
    }

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::deque<Item> pending_;
    std::deque<one_shot<Item>> waiters_;
    std::size_t in_progress_ = 0;
};

}  // namespace keepstore::store
