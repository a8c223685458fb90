/// The pending items of a list that is replaced as a whole: the pull and trash lists of a balance tool
/// (docs/interface.md 2.16). Safe to use from any thread; a worker resumes on its own executor. Outlives its workers.
///
/// No async_queue: an item leaves `pending` and enters `in progress` in one step, so that a list that is worked on
/// never looks finished.
#pragma once

#include "base/async.hpp"
#include "base/async_condition.hpp"
#include "base/sha256.hpp"

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::store {

/// Which list was taken last, so that a balance tool recognises its own.
struct list_identity {
    std::size_t items = 0;
    sha256_digest sha256{};  ///< Of the list as it was received, byte for byte.
    std::chrono::system_clock::time_point taken_at{};
};

/// What becomes of a list, at one moment: an item is either pending, or in progress, or done.
struct list_progress {
    std::size_t pending = 0;
    std::size_t in_progress = 0;
    std::optional<list_identity> last;  ///< nullopt: none was taken since the start.
};

template <class Item>
class work_queue {
  public:
    /// An item that a worker has taken: in progress until it is destroyed.
    class claim {
      public:
        claim(claim&& other) noexcept : item(std::move(other.item)), home_(std::exchange(other.home_, nullptr)) {}
        claim& operator=(claim&&) = delete;
        ~claim() {
            if (home_) home_->done();
        }

        Item item;

      private:
        friend class work_queue;
        claim(work_queue& home, Item taken) : item(std::move(taken)), home_(&home) {}
        work_queue* home_;
    };

    /// Drops the pending items and puts `items` in their place. Items in progress are finished. `sha256`: of the text
    /// of the list.
    void replace(std::vector<Item> items, const sha256_digest& sha256 = {}) {
        const list_identity taken{
            .items = items.size(), .sha256 = sha256, .taken_at = std::chrono::system_clock::now()};
        std::deque<Item> added(std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
        {
            const std::lock_guard lock(mutex_);
            pending_.swap(added);
            last_ = taken;
            for (std::size_t n = 0; n < pending_.size() && filled_.notify_one(); ++n) {
            }
        }
        // The old items are destroyed here, outside the lock.
    }

    /// Takes the next item; suspends while there is none. Awaited in place. errc::cancelled.
    [[nodiscard]] awaitable<result<claim>> next() {
        std::unique_lock lock(mutex_);
        while (pending_.empty()) KS_CO_CHECK(co_await filled_.wait(lock, deadline::never()));
        claim taken(*this, std::move(pending_.front()));
        pending_.pop_front();
        ++in_progress_;
        co_return taken;
    }

    [[nodiscard]] std::size_t pending() const {
        const std::lock_guard lock(mutex_);
        return pending_.size();
    }
    [[nodiscard]] std::size_t in_progress() const {
        const std::lock_guard lock(mutex_);
        return in_progress_;
    }
    [[nodiscard]] list_progress progress() const {
        const std::lock_guard lock(mutex_);
        return {.pending = pending_.size(), .in_progress = in_progress_, .last = last_};
    }

  private:
    void done() noexcept {
        const std::lock_guard lock(mutex_);
        --in_progress_;
    }

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::deque<Item> pending_;
    std::size_t in_progress_ = 0;
    std::optional<list_identity> last_;
    async_condition filled_{mutex_};  // pending_ has items.
};

}  // namespace keepstore::store
