/// What a clone has done. Plain values.
#pragma once

#include "keepctl/cluster/block_names.hpp"
#include "keepctl/cluster/copy_counts.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// With --trash what is in the trash counts as blocks of its own.
struct clone_counts : copy_counts {
    std::uint64_t read_to_verify = 0;  ///< Objects that were read since no ETag proves them. Not among the sum.
    std::uint64_t foreign = 0;         ///< Keys of the source that are no blocks. Not among those listed.

    [[nodiscard]] bool operator==(const clone_counts&) const = default;
    clone_counts& operator+=(const clone_counts& other) noexcept {
        copy_counts::operator+=(other);
        read_to_verify += other.read_to_verify;
        foreign += other.foreign;
        return *this;
    }
};

/// Now, as the files of a job have times.
[[nodiscard]] inline std::chrono::sys_seconds clone_time_now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

/// What came of one segment.
struct segment_report {
    std::string segment;  ///< Its digits; empty for the only one.
    std::string worker;
    std::chrono::sys_seconds started_at{};
    std::chrono::sys_seconds ended_at{};
    clone_counts counts;
    std::vector<block_failure> failed = {};  ///< The first limits::clone_failures_kept.

    [[nodiscard]] std::uint64_t failed_total() const noexcept { return counts.not_stored(); }
};

}  // namespace keepstore::keepctl
