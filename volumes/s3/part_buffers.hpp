/// How many parts of blocks may be in memory side by side: so many buffers for one volume and direction, shared evenly
/// by the transfers that are under way. Counts only; the memory is the transfer's. Safe to use from any thread.
#pragma once

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

namespace keepstore::volumes::s3 {

class part_buffers {
  public:
    explicit part_buffers(unsigned count) : count_(count) {}

    /// What one transfer has; given back with it. Not safe to use from several threads at the same time.
    class share {
      public:
        share(share&& other) noexcept
            : home_(std::exchange(other.home_, nullptr)), held_(std::exchange(other.held_, 0)) {}
        share& operator=(share&&) = delete;
        ~share() {
            if (home_) home_->leave(held_);
        }

        /// One buffer more. \returns whether there is one for this transfer.
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
        /// Gives one back if there are others who have less.
        /// \returns whether it did.
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

    /// One more transfer, with its first buffer; nullopt if there is none.
    [[nodiscard]] std::optional<share> join() {
        const std::lock_guard lock(mutex_);
        if (taken_ == count_) return std::nullopt;
        ++taken_;
        ++transfers_;
        return share(*this);
    }

  private:
    // One that is moved and one that is used.
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

}  // namespace keepstore::volumes::s3
