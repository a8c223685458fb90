/// Circuit breaker of one server of a place (a volume that is opened here counts as a server). It opens after
/// limits::place_failures_max failures in a row, or when the storage is full; while it is open one call at a time is
/// let through as a probe, each limits::place_pause or limits::full_pause; a call that succeeds closes it. Times are
/// those that the caller gives. Used by one thread.
#pragma once

#include "base/error.hpp"
#include "keepctl/cluster/limits.hpp"

#include <chrono>
#include <string>

namespace keepstore::keepctl {

class server_health {
  public:
    using clock = std::chrono::steady_clock;

    explicit server_health(std::string name) : name_(std::move(name)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Whether calls are held back.
    [[nodiscard]] bool paused() const noexcept { return state_ != state::working; }
    [[nodiscard]] bool full() const noexcept { return state_ == state::full; }

    /// Takes a call: \returns zero if it may be made now, else the time until the next probe.
    [[nodiscard]] clock::duration admit(clock::time_point now) noexcept;
    /// The same without taking one.
    [[nodiscard]] clock::duration wait(clock::time_point now) const noexcept;

    // Outcomes of calls. \returns whether the state has changed: one line for the operator.
    bool succeeded() noexcept;
    bool failed(error why, clock::time_point now);
    bool refused_as_full(error why, clock::time_point now);

    // While paused:
    [[nodiscard]] const error& why() const noexcept { return why_; }
    /// Since when there was no success. It stays when a full server begins to fail otherwise.
    [[nodiscard]] clock::time_point since() const noexcept { return since_; }

  private:
    enum class state : unsigned char { working, failing, full };
    void pause(state next, error why, clock::time_point now);

    std::string name_;
    state state_ = state::working;
    unsigned failures_in_a_row_ = 0;
    error why_ = errc::unavailable;
    clock::time_point since_{};
    clock::time_point probe_at_{};
};

}  // namespace keepstore::keepctl
