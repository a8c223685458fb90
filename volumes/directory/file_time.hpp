/// Times of files as block times. Pure functions; safe to call from any thread.
#pragma once

#include "volumes/volume.hpp"

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <ctime>

namespace keepstore::volumes::directory {

/// Converts a time that a file system stores. A block_time ends in April 2262; XFS, btrfs and tmpfs store later times.
/// What is out of range becomes the nearest representable time: a block from a far future is protected from trash for
/// good, instead of looking centuries old after an overflow.
[[nodiscard]] constexpr block_time to_block_time(std::int64_t seconds, std::int64_t nanoseconds) noexcept {
    constexpr auto last = std::chrono::floor<std::chrono::seconds>(block_time::max()).time_since_epoch().count();
    constexpr auto first = std::chrono::ceil<std::chrono::seconds>(block_time::min()).time_since_epoch().count();
    if (seconds >= last) return block_time::max();
    if (seconds < first) return block_time::min();
    return block_time(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds));
}

[[nodiscard]] inline block_time mtime_of(const struct stat& status) {
    return to_block_time(status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

[[nodiscard]] inline block_time wall_clock_now() {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

[[nodiscard]] constexpr bool is_earlier(const struct timespec& a, const struct timespec& b) noexcept {
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

[[nodiscard]] constexpr bool is_same_time(const struct timespec& a, const struct timespec& b) noexcept {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace keepstore::volumes::directory
