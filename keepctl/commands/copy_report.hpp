/// What replicate and clone make of their counts: the sentence and the fields of the summary, and the exit code. Pure
/// functions, apart from report_end().
#pragma once

#include "base/error.hpp"
#include "keepctl/cluster/copy_counts.hpp"
#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/commands/output.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

/// How a run has ended, apart from its counts.
struct copy_run_end {
    std::optional<error> fatal = {};  ///< Why it ended early.
    bool complete = true;             ///< All of the source was looked at.
    bool went_on = false;             ///< With the work of an earlier run.
};

/// "3 blocks looked at: 1 present, 2 copied (11 B), ..."
[[nodiscard]] std::string outcome_sentence(const copy_counts& counts, bool dry_run);
void add_outcomes(record& summary, const copy_counts& counts);

/// The exit code of a run that ended so, if no block has failed.
[[nodiscard]] exit_code code_of(const copy_counts& counts, const copy_run_end& end);
/// Prints counts that are wrong, and why the run ended early.
void report_end(output& out, const copy_counts& counts, const std::optional<error>& fatal);

}  // namespace keepstore::keepctl
