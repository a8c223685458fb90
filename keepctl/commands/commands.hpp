/// The commands, one file each.
#pragma once

#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/commands/session.hpp"

namespace keepstore::keepctl {

/// Runs on a session that is prepared. Prints its results, with the summary.
using command_function = exit_code (*)(session&);

[[nodiscard]] exit_code run_status(session&);
[[nodiscard]] exit_code run_ls(session&);
[[nodiscard]] exit_code run_head(session&);
[[nodiscard]] exit_code run_get(session&);
[[nodiscard]] exit_code run_put(session&);
[[nodiscard]] exit_code run_touch(session&);
[[nodiscard]] exit_code run_trash(session&);
[[nodiscard]] exit_code run_untrash(session&);
[[nodiscard]] exit_code run_check_config(session&);
[[nodiscard]] exit_code run_probe(session&);
[[nodiscard]] exit_code run_scrub(session&);
[[nodiscard]] exit_code run_compare(session&);
[[nodiscard]] exit_code run_replicate(session&);
[[nodiscard]] exit_code run_balance(session&);
[[nodiscard]] exit_code run_clone(session&);
/// clone status JOB.
[[nodiscard]] exit_code run_clone_status(session&);
[[nodiscard]] exit_code run_snapshot_init(session&);
[[nodiscard]] exit_code run_snapshot_create(session&);
[[nodiscard]] exit_code run_snapshot_list(session&);
[[nodiscard]] exit_code run_snapshot_show(session&);
[[nodiscard]] exit_code run_snapshot_diff(session&);
[[nodiscard]] exit_code run_snapshot_find(session&);
[[nodiscard]] exit_code run_snapshot_check(session&);
[[nodiscard]] exit_code run_snapshot_verify(session&);
[[nodiscard]] exit_code run_snapshot_restore(session&);
[[nodiscard]] exit_code run_snapshot_prune(session&);
[[nodiscard]] exit_code run_snapshot_adopt(session&);

/// Prints why the command cannot go on, and the summary. \returns the code.
[[nodiscard]] exit_code end_with(session&, const refusal&);
/// The same for a command that may have come to its end: with an empty text nothing is wrong.
[[nodiscard]] exit_code end_with(session&, exit_code code, std::string_view problem = {});

}  // namespace keepstore::keepctl
