/// Removes snapshots: first from latest.json, into its list `removed`; their objects some time later, so that a reader
/// can end. Folders that latest.json does not know take the same way once they are old. Killed anywhere, the next prune
/// goes on.
///
/// Objects are only deleted while latest.json has their snapshot among `removed`, and a snapshot among `removed` is
/// never listed again: neither the create that made it, if it should wake up, nor an adopt can bring back what is half
/// gone.
#pragma once

#include "keepctl/snapshot/repository.hpp"
#include "keepctl/snapshot/retention.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

struct prune_options {
    retention_rules rules;
    std::chrono::nanoseconds grace{};
    bool dry_run = false;
};

/// What is decided, or was done.
struct prune_plan {
    struct item {
        snapshot_id id;
        std::chrono::sys_seconds at;       ///< Listed, removed, or the time of the newest object.
        std::vector<std::string> kept_by;  ///< Rules; none: it goes.
    };
    std::vector<item> listed;
    std::vector<item> orphans;    ///< Folders that are old enough to go.
    std::vector<item> waiting;    ///< Removed, and not yet past the grace time.
    std::vector<item> to_delete;  ///< Removed, and past it.
    std::uint64_t orphans_young = 0;
};

struct prune_end {
    prune_plan plan;
    std::uint64_t objects_deleted = 0;
    std::uint64_t snapshots_deleted = 0;
};

/// The repository is open, its clock set.
[[nodiscard]] awaitable<outcome<prune_end>> prune(repository& in, prune_options options);

/// Folders below snapshots/ that are neither listed nor removed, with the time of their newest object.
struct orphan {
    snapshot_id id;
    std::chrono::sys_seconds newest;
    std::uint64_t objects = 0;
    bool has_metadata = false;
};
[[nodiscard]] awaitable<outcome<std::vector<orphan>>> find_orphans(repository& in);

}  // namespace keepstore::keepctl
