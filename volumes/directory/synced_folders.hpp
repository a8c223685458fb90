/// Remembers the state in which block folders were synced, so that the touch of a block need not sync a folder that has
/// not changed since: on a disk with a write cache a sync takes a flush even if there is nothing to write.
///
/// The state is the folder's ctime, which changes with each entry made, renamed or removed, by any program, and cannot
/// be set. The kernel takes it from a clock that moves in steps, so a state counts only when it is older than
/// limits::folder_time_step: a later change is then seen by its later time.
///
/// For local file systems only: others may show an old time. Never waits. Safe to use from any thread.
#pragma once

#include "volumes/directory/limits.hpp"

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>

namespace keepstore::volumes::directory {

class synced_folders {
  public:
    /// A folder's ctime, in nanoseconds since 1970; never 0.
    using state = std::int64_t;

    /// Returns the state of a folder open as `dir`: one that tells all later changes. nullopt: it changed just now, in
    /// the future (the clock was set back), or on a file system that keeps whole seconds.
    [[nodiscard]] static std::optional<state> state_of(int dir) noexcept {
        struct timespec now{};
        struct stat status{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        if (::fstat(dir, &status) != 0 || status.st_ctim.tv_nsec == 0) return std::nullopt;
        const state at = nanoseconds(status.st_ctim);
        const auto age = std::chrono::nanoseconds(nanoseconds(now) - at);
        return age > limits::folder_time_step ? std::optional(at) : std::nullopt;
    }

    /// Returns whether folder `index` was synced in that state.
    [[nodiscard]] bool contains(unsigned index, state seen) const noexcept {
        return states_[index].load(std::memory_order_acquire) == seen;
    }
    /// Records a sync that began after `seen` was read, and succeeded.
    void add(unsigned index, state seen) noexcept { states_[index].store(seen, std::memory_order_release); }

  private:
    static state nanoseconds(const struct timespec& t) noexcept {
        return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
    }

    std::array<std::atomic<state>, 4096> states_{};
};

}  // namespace keepstore::volumes::directory
