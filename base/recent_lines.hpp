/// The latest events of a kind, such as errors, for GET /_status: a ring of constant size, from which the oldest falls
/// out. Texts are cut, so a flood of long ones changes nothing. Like the log it must get no secrets.
/// Safe to use from any thread.
#pragma once

#include "base/limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore {

class recent_lines {
  public:
    struct line {
        std::chrono::system_clock::time_point at;
        std::string_view level;  ///< A literal: "warning", "error".
        std::string request_id;  ///< Empty: of no request.
        std::string message;
        std::string details;
    };

    explicit recent_lines(std::size_t lines_max = limits::recent_lines_max) : lines_max_(lines_max) {}

    /// Adds a line, with its texts cut (base/limits.hpp).
    void add(line);

    /// The newest first.
    [[nodiscard]] std::vector<line> snapshot() const;
    /// Lines added since the start, those that have fallen out included.
    [[nodiscard]] std::uint64_t total() const;

  private:
    const std::size_t lines_max_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::deque<line> lines_;
    std::uint64_t total_ = 0;
};

namespace log {

/// The lines of level warning and above that were logged.
[[nodiscard]] recent_lines& recent();

}  // namespace log
}  // namespace keepstore
