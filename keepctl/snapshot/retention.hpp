/// Which snapshots a prune keeps. Pure.
#pragma once

#include "keepctl/snapshot/documents.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// A snapshot stays if any of these keeps it. Days, weeks (from Monday) and months are those of UTC; of each the newest
/// snapshot counts, and those without one do not count.
struct retention_rules {
    std::uint64_t last = 0;                               ///< How many of the newest ones.
    std::optional<std::chrono::nanoseconds> within = {};  ///< All that were listed in this last time.
    std::uint64_t daily = 0;
    std::uint64_t weekly = 0;
    std::uint64_t monthly = 0;

    [[nodiscard]] bool any() const noexcept { return last > 0 || within || daily > 0 || weekly > 0 || monthly > 0; }
};

/// For each snapshot, newest first, the rules that keep it; empty: it goes. The newest always stays.
[[nodiscard]] std::vector<std::vector<std::string>> apply_retention(std::span<const listed_snapshot> newest_first,
                                                                    const retention_rules& rules,
                                                                    std::chrono::sys_seconds now);

}  // namespace keepstore::keepctl
