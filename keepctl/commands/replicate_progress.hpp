/// The progress of a replication as one line, and what the lines of other commands have in common with it. Pure.
#pragma once

#include "keepctl/replicate/replication.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace keepstore::keepctl {

struct replicate_progress {
    replicate_counts counts;
    std::size_t shards_done = 0;
    std::size_t shards_before = 0;  ///< Of these: by the run that this one goes on with.
    std::size_t shards_total = 0;
    bool all_planned = false;  ///< Whether the totals of blocks and bytes are known: else they are lower bounds.
    double seconds = 0;        ///< Since the run began; not 0.
};

/// How long the rest of the parts takes, of which `before` were done when the work began; nothing while too few are
/// done to say.
[[nodiscard]] std::optional<double> seconds_for_rest(std::size_t done, std::size_t before, std::size_t total,
                                                     double seconds);
/// "40s", "4m", "1h03m", "3d".
[[nodiscard]] std::string short_time(double seconds);

/// "replicate  shard 61/256  24%  1,204,331 looked at  18,220 of >=18,252 copied 9.1 GiB  3 failed  412.0 MiB/s  ETA
/// 4m". There is an ETA once a part of the shards that says something is done, or all blocks are known.
[[nodiscard]] std::string to_line(const replicate_progress& now);
/// The same as a JSON object.
[[nodiscard]] std::string to_json(const replicate_progress& now);

}  // namespace keepstore::keepctl
