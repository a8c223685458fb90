/// Counters of a Directory volume, under the Go daemon's names (docs/interface.md 6.3). Safe to call from any thread.
#pragma once

#include "base/error.hpp"
#include "volumes/volume.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace keepstore::volumes::directory {

enum class op { open, create, rename, unlink, stat, flock, utimes, readdir };

class op_stats {
  public:
    void tick(op which) noexcept { operations_[std::size_t(which)].fetch_add(1, std::memory_order_relaxed); }
    void read(std::uint64_t bytes) noexcept { bytes_in_.fetch_add(bytes, std::memory_order_relaxed); }
    void wrote(std::uint64_t bytes) noexcept { bytes_out_.fetch_add(bytes, std::memory_order_relaxed); }

    /// Counts a failed call under the type that Go's os package would give the error, and converts errno to an error.
    /// `what` names the call for the log and the client.
    [[nodiscard]] error failed(op which, int number, std::string_view what);
    /// Does so for calls that Go does not count as operations (read, write, fsync): *fs.PathError.
    [[nodiscard]] error failed(int number, std::string_view what);

    [[nodiscard]] volume_stats snapshot() const;

  private:
    enum class error_type { path_error, link_error, number };
    void count(error_type type) noexcept { errors_[std::size_t(type)].fetch_add(1, std::memory_order_relaxed); }

    std::array<std::atomic<std::uint64_t>, 8> operations_{};
    std::array<std::atomic<std::uint64_t>, 3> errors_{};
    std::atomic<std::uint64_t> bytes_in_{0};
    std::atomic<std::uint64_t> bytes_out_{0};
};

}  // namespace keepstore::volumes::directory
