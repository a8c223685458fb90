/// From the copies and references of shards to pull lists and trash lists: merges both by block, decides each, and
/// keeps the most urgent items for each server. Memory does not grow with the number of blocks. Pure but for the
/// observer; belongs to one thread.
#pragma once

#include "keepctl/balance/decide.hpp"
#include "keepctl/balance/limited_list.hpp"
#include "keepctl/balance/references.hpp"
#include "keepctl/balance/tally.hpp"
#include "keepctl/cluster/entry.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace keepstore::keepctl::balance {

struct planned_pull {
    block_id block;
    std::uint16_t mount = 0;
    pull_reason why{};
    std::uint8_t source_count = 0;
    std::array<std::uint16_t, limits::balance_sources_max> sources{};  ///< Servers.
};

struct planned_trash {
    block_id block;
    std::uint16_t mount = 0;
    std::uint16_t proven_by = decision::no_proof;  ///< A server, or what a decision says instead.
    std::int64_t mtime = 0;
};

struct more_urgent {
    [[nodiscard]] bool operator()(const planned_pull& a, const planned_pull& b) const { return a.why < b.why; }
    [[nodiscard]] bool operator()(const planned_trash& a, const planned_trash& b) const { return a.mtime < b.mtime; }
};

/// For one server.
struct server_plan {
    limited_list<planned_pull, more_urgent> pulls;
    limited_list<planned_trash, more_urgent> trashes;
};

/// What a device holds, and would lose.
struct device_totals {
    std::uint64_t copies = 0;
    std::uint64_t bytes = 0;
    std::uint64_t trash_copies = 0;
    std::uint64_t trash_bytes = 0;
};

struct plan_options {
    /// Copies for each class of the cluster; nothing: the rules do not name the class.
    std::vector<std::optional<std::uint32_t>> desired = {};
    bool by_references = false;   ///< Else every block is wanted in each class in which it has a copy.
    bool moves = true;            ///< Pull copies for their position, too.
    std::int64_t cutoff = 0;      ///< Nanoseconds since 1970: what is as new is not trashed.
    std::int64_t now = 0;         ///< By the clock that is ahead of the others.
    std::size_t pulls_max = 0;    ///< For each server.
    std::size_t trashes_max = 0;  ///< For each server.
    /// Class of the cluster for each number of references' classes.
    std::vector<std::uint16_t> reference_classes = {};
};

class planner {
  public:
    /// The cluster outlives it. `on_lost`: a block that is wanted and has no copy.
    planner(const cluster& all, plan_options options, std::function<void(block_id)> on_lost = {});

    /// One shard: entries sorted by block, with devices as mounts; references sorted by block.
    void add_shard(std::span<const entry> entries, std::span<const reference> references);

    [[nodiscard]] std::vector<server_plan>& servers() noexcept { return servers_; }
    [[nodiscard]] const std::vector<server_plan>& servers() const noexcept { return servers_; }
    [[nodiscard]] const std::vector<device_totals>& devices() const noexcept { return devices_; }
    [[nodiscard]] const tally& counts() const noexcept { return counts_; }
    [[nodiscard]] std::uint64_t referenced_blocks() const noexcept { return referenced_blocks_; }

  private:
    struct pending {
        block_id block;
        std::size_t copies_begin = 0;
        std::size_t copies_end = 0;
    };
    void add_block(const md5_digest& name, std::span<const entry> entries, std::span<const reference> references);
    [[nodiscard]] static std::uint32_t size_of(std::span<const entry> entries, std::span<const reference> references);
    void want(std::span<const entry> entries, std::uint32_t size, std::span<const reference> references,
              std::span<std::uint32_t> desired) const;
    void decide_batch();
    void take(const block_id& block, const decision& d);

    const cluster& all_;
    const plan_options options_;
    const std::function<void(block_id)> on_lost_;
    const std::uint32_t desired_max_;
    std::vector<class_bits> classes_of_device_;
    std::vector<std::int64_t> replication_of_device_;
    weights weights_;
    decider decider_;
    decision decision_;
    // Blocks whose weights are computed together.
    std::vector<pending> batch_;
    std::vector<md5_digest> names_;
    std::vector<copy> copies_;
    std::vector<std::uint32_t> desired_;  // A row for each.
    // Results.
    std::vector<server_plan> servers_;
    std::vector<device_totals> devices_;
    tally counts_;
    std::uint64_t referenced_blocks_ = 0;
};

}  // namespace keepstore::keepctl::balance
