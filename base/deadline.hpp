/// A point in time by which a step must have ended. Made once per request and passed down as a value; each step uses
/// the earlier of it and its own limit.
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
    [[nodiscard]] deadline within(clock::duration limit) const { return deadline(std::min(at_, clock::now() + limit)); }

  private:
    clock::time_point at_ = clock::time_point::max();
};

}  // namespace keepstore
