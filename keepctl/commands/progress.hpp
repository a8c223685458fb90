/// Progress on stderr: one line that is written over on a terminal, a line now and then elsewhere. Used from one
/// thread.
#pragma once

#include "keepctl/cluster/count_text.hpp"
#include "keepctl/commands/arguments.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

/// "9.1 GiB"
[[nodiscard]] std::string short_bytes(std::uint64_t bytes);

class progress {
  public:
    using clock = std::chrono::steady_clock;

    /// Decides by what stderr is; `quiet` is none.
    progress(progress_shape shape, bool quiet);

    [[nodiscard]] bool enabled() const noexcept { return shape_ != progress_shape::none; }
    [[nodiscard]] bool as_json() const noexcept { return shape_ == progress_shape::json; }
    /// Whether the next line is due.
    [[nodiscard]] bool due(clock::time_point now) const noexcept { return enabled() && now >= next_; }
    void show(std::string_view line, clock::time_point now);
    /// Removes the line of a terminal, before anything else is written.
    void clear();

  private:
    progress_shape shape_;
    clock::time_point next_;
    bool shown_ = false;
};

}  // namespace keepstore::keepctl
