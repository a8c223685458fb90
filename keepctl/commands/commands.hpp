/// The commands, one file each.
#pragma once

#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/commands/session.hpp"

namespace keepstore::keepctl {

/// Runs on a session that is prepared. Prints its results, with the summary, unless it is refused.
using command_function = outcome<exit_code> (*)(session&);

[[nodiscard]] outcome<exit_code> run_status(session&);
[[nodiscard]] outcome<exit_code> run_ls(session&);
[[nodiscard]] outcome<exit_code> run_head(session&);
[[nodiscard]] outcome<exit_code> run_get(session&);
[[nodiscard]] outcome<exit_code> run_put(session&);
[[nodiscard]] outcome<exit_code> run_touch(session&);
[[nodiscard]] outcome<exit_code> run_trash(session&);
[[nodiscard]] outcome<exit_code> run_untrash(session&);
[[nodiscard]] outcome<exit_code> run_check_config(session&);
[[nodiscard]] outcome<exit_code> run_probe(session&);
[[nodiscard]] outcome<exit_code> run_scrub(session&);
[[nodiscard]] outcome<exit_code> run_compare(session&);
[[nodiscard]] outcome<exit_code> run_replicate(session&);
[[nodiscard]] outcome<exit_code> run_balance(session&);
[[nodiscard]] outcome<exit_code> run_clone(session&);
/// clone status JOB.
[[nodiscard]] outcome<exit_code> run_clone_status(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_init(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_create(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_list(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_show(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_diff(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_find(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_check(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_verify(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_restore(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_prune(session&);
[[nodiscard]] outcome<exit_code> run_snapshot_adopt(session&);

}  // namespace keepstore::keepctl
