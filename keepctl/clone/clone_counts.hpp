/// What a clone has done. Plain values.
#pragma once

#include "keepctl/cluster/block_names.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// Outcomes of blocks. They add up: listed = present + copied + replaced + gone + bad_source + failed + left. With
/// --trash what is in the trash counts as blocks of its own.
struct clone_counts {
    std::uint64_t listed = 0;
    std::uint64_t present = 0;   ///< Object and marker were there.
    std::uint64_t copied = 0;    ///< With dry_run: that would be.
    std::uint64_t replaced = 0;  ///< The destination had a bad copy.
    std::uint64_t gone = 0;      ///< The source has it no longer.
    std::uint64_t bad_source = 0;
    std::uint64_t failed = 0;
    std::uint64_t left = 0;            ///< Not begun, or cancelled, when the run ended.
    std::uint64_t bytes = 0;           ///< Of those that were copied or replaced.
    std::uint64_t read_to_verify = 0;  ///< Objects that were read since no ETag proves them. Not among the sum.
    std::uint64_t foreign = 0;         ///< Keys of the source that are no blocks. Not among those listed.

    [[nodiscard]] bool operator==(const clone_counts&) const = default;
    [[nodiscard]] bool add_up() const noexcept {
        return listed == present + copied + replaced + gone + bad_source + failed + left;
    }
    clone_counts& operator+=(const clone_counts& other) noexcept {
        listed += other.listed;
        present += other.present;
        copied += other.copied;
        replaced += other.replaced;
        gone += other.gone;
        bad_source += other.bad_source;
        failed += other.failed;
        left += other.left;
        bytes += other.bytes;
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

    [[nodiscard]] std::uint64_t failed_total() const noexcept { return counts.failed + counts.bad_source; }
};

}  // namespace keepstore::keepctl
