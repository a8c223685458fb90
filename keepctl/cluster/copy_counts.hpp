/// Outcomes of the blocks that a run of replicate or clone looks at. Plain values.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

/// They add up: listed = present + copied + replaced + gone + bad_source + failed + left.
struct copy_counts {
    std::uint64_t listed = 0;  ///< Blocks of the source that were looked at.
    std::uint64_t present = 0;
    std::uint64_t copied = 0;    ///< With --dry-run: that would be.
    std::uint64_t replaced = 0;  ///< The destination had a bad copy.
    std::uint64_t gone = 0;      ///< The source has it no longer.
    std::uint64_t bad_source = 0;
    std::uint64_t failed = 0;
    std::uint64_t left = 0;   ///< Not begun, or cancelled, when the run ended.
    std::uint64_t bytes = 0;  ///< Of those that were copied or replaced.

    [[nodiscard]] bool operator==(const copy_counts&) const = default;
    [[nodiscard]] bool add_up() const noexcept {
        return listed == present + copied + replaced + gone + bad_source + failed + left;
    }
    [[nodiscard]] std::uint64_t stored() const noexcept { return copied + replaced; }
    [[nodiscard]] std::uint64_t not_stored() const noexcept { return failed + bad_source; }

    copy_counts& operator+=(const copy_counts& other) noexcept {
        listed += other.listed;
        present += other.present;
        copied += other.copied;
        replaced += other.replaced;
        gone += other.gone;
        bad_source += other.bad_source;
        failed += other.failed;
        left += other.left;
        bytes += other.bytes;
        return *this;
    }

    /// The outcomes by their names in summaries, metrics and checkpoints.
    [[nodiscard]] std::vector<std::pair<std::string_view, std::uint64_t>> by_name() const {
        return {{"present", present}, {"copied", copied},         {"replaced", replaced}, {"gone", gone},
                {"failed", failed},   {"bad_source", bad_source}, {"left", left}};
    }
};

}  // namespace keepstore::keepctl
