/// A point in time by which a step must have ended. Made once per request and passed down as a value; each step uses
/// the earlier of it and its own limit.
///
/// A caller that can go to another volume says so with ending_at_stall(): its calls end with errc::unavailable, before
/// the deadline, once the volume makes no progress (base/blocking_pool.hpp). Calls without an alternative wait.
#pragma once

#include <algorithm>
#include <chrono>

namespace keepstore {

class deadline {
  public:
    using clock = std::chrono::steady_clock;

    deadline() = default;  ///< Never passes.
    explicit deadline(clock::time_point at) : at_(at) {}
    [[nodiscard]] static deadline never() { return {}; }
    [[nodiscard]] static deadline in(clock::duration d) { return deadline(clock::now() + d); }

    [[nodiscard]] bool passed() const { return at_ != clock::time_point::max() && clock::now() >= at_; }
    [[nodiscard]] bool is_never() const { return at_ == clock::time_point::max(); }
    [[nodiscard]] clock::time_point at() const { return at_; }
    /// The earlier of this deadline and `limit` from now.
    [[nodiscard]] deadline within(clock::duration limit) const {
        deadline out = *this;
        out.at_ = std::min(at_, clock::now() + limit);
        return out;
    }

    /// The same point in time, for a caller that has an alternative, or (`yes` false) has none.
    [[nodiscard]] deadline ending_at_stall(bool yes = true) const {
        deadline out = *this;
        out.ends_at_stall_ = yes;
        return out;
    }
    [[nodiscard]] bool ends_at_stall() const noexcept { return ends_at_stall_; }

  private:
    clock::time_point at_ = clock::time_point::max();
    bool ends_at_stall_ = false;
};

}  // namespace keepstore
