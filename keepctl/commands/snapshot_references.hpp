/// Snapshots as references of a balance run: each block that they list is wanted as the rules say (--keep-snapshots).
#pragma once

#include "keepctl/balance/references.hpp"
#include "keepctl/commands/session.hpp"
#include "keepctl/snapshot/documents.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>

namespace keepstore::keepctl {

struct snapshot_references {
    std::uint64_t count = 0;
    /// When the newest of them that is of the whole cluster was begun; nothing: none is.
    std::optional<std::chrono::sys_seconds> cluster_at = {};
};

/// Adds the blocks of the snapshots that the command line names to the spool, as seen at `seen_at`. All of what is
/// added is checked; a snapshot that is damaged is an error: blocks of it would be trashed. Awaited in place.
[[nodiscard]] awaitable<outcome<snapshot_references>> read_snapshot_references(session& s, std::uint32_t seen_at,
                                                                               balance::reference_spool& into);

}  // namespace keepstore::keepctl
