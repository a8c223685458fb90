/// Counters of a Directory volume, under the Go daemon's names (docs/interface.md 6.3). Safe to call from any thread.
#pragma once

#include "base/counter.hpp"
#include "base/error.hpp"
#include "volumes/volume.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace keepstore::volumes::directory {

enum class op { open, create, rename, unlink, stat, flock, utimes, readdir };

class op_stats {
  public:
    void tick(op which) noexcept { operations_[std::size_t(which)].add(); }
    void read(std::uint64_t bytes) noexcept { bytes_in_.add(bytes); }
    void wrote(std::uint64_t bytes) noexcept { bytes_out_.add(bytes); }

    /// Counts a failed call under the type that Go's os package would give the error, and converts errno to an error.
    /// `what` names the call for the log and the client.
    [[nodiscard]] error failed(op which, int number, std::string_view what);
    /// Does so for calls that Go does not count as operations (read, write, fsync): *fs.PathError.
    [[nodiscard]] error failed(int number, std::string_view what);

    [[nodiscard]] volume_stats snapshot() const;

  private:
    enum class error_type { path_error, link_error, number };
    void count(error_type type) noexcept { errors_[std::size_t(type)].add(); }

    std::array<counter, 8> operations_;
    std::array<counter, 3> errors_;
    counter bytes_in_;
    counter bytes_out_;
};

}  // namespace keepstore::volumes::directory
