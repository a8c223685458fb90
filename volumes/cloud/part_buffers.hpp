/// Bounds the parts of blocks that are in memory: a number of buffers per volume and direction, shared evenly by the
/// concurrent transfers. Counts only; the memory is the transfer's. Never waits. Safe to use from any thread.
#pragma once

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

namespace keepstore::volumes::cloud {

class part_buffers {
  public:
    explicit part_buffers(unsigned count) : count_(count) {}

    /// The buffers of one transfer, given back at its end. Use from one thread at a time.
    class share {
      public:
        share(share&& other) noexcept
            : home_(std::exchange(other.home_, nullptr)), held_(std::exchange(other.held_, 0)) {}
        share& operator=(share&&) = delete;
        ~share() {
            if (home_) home_->leave(held_);
        }

        /// Takes one more buffer. \returns whether there was one for this transfer.
        [[nodiscard]] bool take() {
            if (!home_->take(held_)) return false;
            ++held_;
            return true;
        }
        /// Gives one back, but not the last one.
        void give_back() {
            if (held_ == 1) return;
            home_->give_back();
            --held_;
        }
        /// Gives one back if it has more than its fair share. \returns whether it did.
        [[nodiscard]] bool give() {
            if (!home_->give(held_)) return false;
            --held_;
            return true;
        }

      private:
        friend class part_buffers;
        explicit share(part_buffers& home) : home_(&home) {}
        part_buffers* home_;
        unsigned held_ = 1;
    };

    /// Adds a transfer, with its first buffer; nullopt if there is none.
    [[nodiscard]] std::optional<share> join() {
        const std::lock_guard lock(mutex_);
        if (taken_ == count_) return std::nullopt;
        ++taken_;
        ++transfers_;
        return share(*this);
    }

  private:
    // At least two: one in transfer while the other is filled or read.
    [[nodiscard]] unsigned fair() const { return std::max(2U, count_ / transfers_); }

    [[nodiscard]] bool take(unsigned held) {
        const std::lock_guard lock(mutex_);
        if (taken_ == count_ || held >= fair()) return false;
        ++taken_;
        return true;
    }
    [[nodiscard]] bool give(unsigned held) {
        const std::lock_guard lock(mutex_);
        if (held <= fair()) return false;
        --taken_;
        return true;
    }
    void give_back() {
        const std::lock_guard lock(mutex_);
        --taken_;
    }
    void leave(unsigned held) {
        const std::lock_guard lock(mutex_);
        taken_ -= held;
        --transfers_;
    }

    const unsigned count_;
    std::mutex mutex_;
    // Guarded by mutex_.
    unsigned taken_ = 0;
    unsigned transfers_ = 0;
};

}  // namespace keepstore::volumes::cloud
