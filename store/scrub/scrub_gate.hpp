/// Lets a limited number of coroutines of one loop through at a time, first come, first served.
#pragma once

#include "base/async.hpp"

#include <deque>
#include <utility>
#include <variant>

namespace keepstore::store {

class scrub_gate {
  public:
    explicit scrub_gate(unsigned places) noexcept : free_(places) {}
    scrub_gate(const scrub_gate&) = delete;
    scrub_gate& operator=(const scrub_gate&) = delete;

    /// A place; empty if its holder was cancelled while it waited.
    class pass {
      public:
        pass() = default;
        explicit pass(scrub_gate& gate) noexcept : gate_(&gate) {}
        pass(pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
        pass& operator=(pass&&) = delete;
        ~pass() {
            if (gate_) gate_->leave();
        }
        [[nodiscard]] explicit operator bool() const noexcept { return gate_ != nullptr; }

      private:
        scrub_gate* gate_ = nullptr;
    };

    [[nodiscard]] awaitable<pass> enter() {
        if (free_ > 0 && waiting_.empty()) {
            --free_;
            co_return pass(*this);
        }
        one_shot<pass> turn;
        waiting_.push_back(turn);
        auto got = co_await turn.wait();
        if (got) co_return std::move(*got);
        std::erase_if(waiting_, [&](const one_shot<pass>& w) { return w.same_as(turn); });
        co_return pass();
    }

  private:
    void leave() {
        if (waiting_.empty()) {
            ++free_;
            return;
        }
        auto next = std::move(waiting_.front());
        waiting_.pop_front();
        // Whoever was cancelled meanwhile drops the place, and it comes back here for the next one.
        next.set(pass(*this));
    }

    unsigned free_;
    std::deque<one_shot<pass>> waiting_;
};

}  // namespace keepstore::store
