/// What balance prints and writes about a run. Pure but for the output.
#pragma once

#include "keepctl/balance/run.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "keepctl/commands/output.hpp"

#include <string>

namespace keepstore::keepctl {

/// Tables of servers, states, classes and numbers of copies.
void report_plan(output& out, const balance::run& done);

/// Fields of the summary.
[[nodiscard]] record summary_of(const balance::run& done);

/// keep-balance's own gauges, in the text format of Prometheus, so that its dashboards go on.
[[nodiscard]] std::string metrics_of(const balance::run& done, std::uint64_t references);

/// Each item of the lists, as one JSON object a line: {"hash","size","action","server","mount","why",...}.
[[nodiscard]] result<void> write_changes(const balance::run& done, replacement_file& into);

}  // namespace keepstore::keepctl
