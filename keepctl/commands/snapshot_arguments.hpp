/// What the command line says of a `snapshot` command. Plain values; nothing is opened.
#pragma once

#include "keepctl/cluster/place.hpp"
#include "keepctl/snapshot/limits.hpp"
#include "keepctl/snapshot/repository_place.hpp"
#include "keepctl/snapshot/retention.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::keepctl {

struct snapshot_arguments {
    std::optional<repository_place> repository;
    std::string id;     ///< An id, or "latest".
    std::string other;  ///< diff: the second one.
    bool single_writer = false;

    // --- create ------------------------------------------------------------------------------------------------------
    std::vector<std::string> allow_missing;
    std::chrono::nanoseconds time_max = limits::create_time_default;

    // --- list, show, check -------------------------------------------------------------------------------------------
    bool orphans = false;
    bool mounts = false;
    bool blocks = false;
    bool read = false;

    // --- verify, restore ---------------------------------------------------------------------------------------------
    std::string new_file;
    std::vector<place> from;

    // --- prune -------------------------------------------------------------------------------------------------------
    retention_rules keep;
    std::chrono::nanoseconds grace = limits::prune_grace_default;
};

}  // namespace keepstore::keepctl
