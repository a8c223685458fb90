/// Plans shards: merges the copies and references of one by block, and decides each block. Several planners work at the
/// same time, each on a thread; what they make is joined by a `planner`. Pure. Memory for a batch of blocks; belongs to
/// one thread at a time.
#pragma once

#include "keepctl/balance/references.hpp"
#include "keepctl/balance/shard_plan.hpp"
#include "keepctl/balance/weights.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace keepstore::keepctl::balance {

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

class shard_planner {
  public:
    /// Both outlive it.
    shard_planner(const cluster& all, const plan_options& options);

    /// Adds a shard to an empty plan of planner::begin_shard(): entries sorted by block, with devices as mounts;
    /// references sorted by block.
    void plan(std::span<const entry> entries, std::span<const reference> references, shard_plan& into);

  private:
    struct pending {
        block_id block;
        std::size_t copies_begin = 0;
        std::size_t copies_end = 0;
    };
    void add_block(const md5_digest& name, std::span<const entry> entries, std::span<const reference> references,
                   shard_plan& into);
    [[nodiscard]] static std::uint32_t size_of(std::span<const entry> entries, std::span<const reference> references);
    void want(std::span<const entry> entries, std::uint32_t size, std::span<const reference> references,
              std::span<std::uint32_t> desired) const;
    void decide_batch(shard_plan& into);
    void take(const block_id& block, shard_plan& into) const;

    const cluster& all_;
    const plan_options& options_;
    const std::uint32_t desired_max_;
    std::vector<class_bits> classes_of_device_;
    std::vector<std::int64_t> replication_of_device_;
    /// What every stored block wants of each class, where devices and rules make no difference between blocks.
    std::optional<std::vector<std::uint32_t>> same_for_all_;
    weights weights_;
    decider decider_;
    decision decision_;
    // Blocks whose weights are computed together.
    std::vector<pending> batch_;
    std::vector<md5_digest> names_;
    std::vector<copy> copies_;
    std::vector<std::uint32_t> desired_;  // A row for each.
};

}  // namespace keepstore::keepctl::balance
