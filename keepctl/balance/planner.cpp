#include "keepctl/balance/planner.hpp"

#include <span>
#include <utility>

namespace keepstore::keepctl::balance {

namespace {

/// \param after  the shards before: their worst items are what new ones have to be better than.
shard_plan empty_plan(const cluster& all, const plan_options& options, std::span<const server_plan> after) {
    shard_plan out;
    out.devices.resize(all.devices.size());
    out.counts.classes.resize(all.classes.size());
    out.servers.reserve(all.servers.size());
    for (std::size_t i = 0; i < all.servers.size(); ++i) {
        using pull_list = decltype(server_plan::pulls);
        using trash_list = decltype(server_plan::trashes);
        out.servers.push_back(after.empty() ? server_plan{pull_list(options.pulls_max), trash_list(options.trashes_max)}
                                            : server_plan{pull_list(options.pulls_max, after[i].pulls.worst()),
                                                          trash_list(options.trashes_max, after[i].trashes.worst())});
    }
    return out;
}

}  // namespace

planner::planner(const cluster& all, plan_options options, std::function<void(block_id)> on_lost)
    : all_(all), options_(std::move(options)), on_lost_(std::move(on_lost)), total_(empty_plan(all_, options_, {})) {}

shard_plan planner::begin_shard() const {
    return empty_plan(all_, options_, total_.servers);
}

void planner::join(shard_plan& planned) {
    for (std::size_t i = 0; i < planned.servers.size(); ++i) {
        total_.servers[i].pulls.join(planned.servers[i].pulls);
        total_.servers[i].trashes.join(planned.servers[i].trashes);
    }
    for (std::size_t i = 0; i < planned.devices.size(); ++i) total_.devices[i].add(planned.devices[i]);
    total_.counts.add(planned.counts);
    total_.referenced_blocks += planned.referenced_blocks;
    if (!on_lost_) return;
    for (const auto& block : planned.lost) on_lost_(block);
}

}  // namespace keepstore::keepctl::balance
