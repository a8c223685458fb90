/// A plan for a cluster: pull lists and trash lists with the most urgent items for each server, and counts. It is made
/// of shards that are planned by themselves (shard_planner.hpp), at the same time if there are processors for it.
/// Joined in the order in which they were begun, they make the same plan whatever their number and that of the threads.
/// Memory does not grow with the number of blocks. Pure but for the observer; belongs to one thread.
#pragma once

#include "keepctl/balance/shard_planner.hpp"

#include <cstdint>
#include <functional>
#include <vector>

namespace keepstore::keepctl::balance {

class planner {
  public:
    /// The cluster outlives it. `on_lost`: a block that is wanted and has no copy.
    planner(const cluster& all, plan_options options, std::function<void(block_id)> on_lost = {});

    [[nodiscard]] const plan_options& options() const noexcept { return options_; }
    /// An empty plan for a shard, for one that was planned later than those that have been joined. It leaves out items
    /// for which the lists have no place any more.
    [[nodiscard]] shard_plan begin_shard() const;
    /// Joins a plan of begin_shard(). Those of earlier calls of it have been joined.
    void join(shard_plan& planned);

    [[nodiscard]] std::vector<server_plan>& servers() noexcept { return total_.servers; }
    [[nodiscard]] const std::vector<server_plan>& servers() const noexcept { return total_.servers; }
    [[nodiscard]] const std::vector<device_totals>& devices() const noexcept { return total_.devices; }
    [[nodiscard]] const tally& counts() const noexcept { return total_.counts; }
    [[nodiscard]] std::uint64_t referenced_blocks() const noexcept { return total_.referenced_blocks; }

  private:
    const cluster& all_;
    const plan_options options_;
    const std::function<void(block_id)> on_lost_;
    shard_plan total_;  // Without lost blocks.
};

}  // namespace keepstore::keepctl::balance
