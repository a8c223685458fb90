#include "keepctl/commands/copy_report.hpp"

#include "keepctl/cluster/count_text.hpp"
#include "keepctl/commands/progress.hpp"

#include <fmt/format.h>

namespace keepstore::keepctl {

std::string outcome_sentence(const copy_counts& c, bool dry_run) {
    return fmt::format(
        "{} looked at: {} present, {} {} ({}), {} replaced, {} gone at the source, {} bad at the source, {} failed, "
        "{} left",
        count_of(c.listed, "block"), grouped(c.present), grouped(c.copied), dry_run ? "to be copied" : "copied",
        short_bytes(c.bytes), grouped(c.replaced), grouped(c.gone), grouped(c.bad_source), grouped(c.failed),
        grouped(c.left));
}

void add_outcomes(record& summary, const copy_counts& counts) {
    summary.emplace_back("listed", counts.listed);
    for (const auto& [outcome, n] : counts.by_name()) summary.emplace_back(outcome, static_cast<std::int64_t>(n));
    summary.emplace_back("bytes", counts.bytes);
}

exit_code code_of(const copy_counts& counts, const copy_run_end& end) {
    auto code = exit_code::done;
    if (!counts.add_up() || !end.complete || counts.left > 0) code = exit_code::not_finished;
    if (!end.fatal) return code;
    const bool nothing_done = counts.stored() == 0 && !end.went_on && *end.fatal != errc::no_space;
    return worse(code, nothing_done ? exit_code::unreachable : exit_code::not_finished);
}

void report_end(output& out, const copy_counts& counts, const std::optional<error>& fatal) {
    if (!counts.add_up()) out.error("the counts do not add up: this is a bug");
    if (fatal) out.error("ended early: " + fatal->text);
}

}  // namespace keepstore::keepctl
