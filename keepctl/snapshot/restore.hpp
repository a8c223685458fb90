/// Brings back the blocks of a snapshot that a place lacks: from the trash of its servers, else by a copy from other
/// places. Never deletes. Every block that counts as restored was read and has its MD5.
///
///     snapshot's shard ──► which of them does the place list? ──► missing: untrash ──► verify, or copy from the first
///                                                                 place that has a good copy
///
/// A shard that could not be listed is tried once more after all others, and then a block that failed, if that may
/// pass. A run that was killed goes on with the shards that are not done: those with a block that is not restored are
/// not. Used from one event loop.
#pragma once

#include "keepctl/cluster/block_verifier.hpp"
#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/replicate/run_observer.hpp"
#include "keepctl/replicate/transfer.hpp"
#include "keepctl/snapshot/inventory_cursor.hpp"
#include "keepctl/snapshot/repository.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

struct restore_options {
    std::optional<std::vector<md5_digest>> only = {};  ///< Only these, sorted.
    bool dry_run = false;
    unsigned jobs = limits::keepctl_jobs_default;
    /// For blocks: each source has an equal share, and so has the verification. See memory_needed().
    std::size_t memory_bytes = limits::keepctl_memory_default / 2;
    unsigned digest_threads = 1;
    std::uint64_t bandwidth = 0;  ///< Bytes per second that are copied from each source; 0: no limit.
    /// A server that fails for this long without a success ends the run.
    std::chrono::nanoseconds give_up_after = limits::give_up_after_default;
    /// Before blocks that failed are tried once more.
    std::chrono::nanoseconds second_round_pause = limits::second_round_pause;

    [[nodiscard]] std::size_t memory_needed(std::size_t sources) const noexcept {
        return (sources + 1) * jobs * limits::keepctl_job_bytes_min;
    }
};

/// Outcomes of blocks. They add up: looked_at = present + untrashed + copied + not_found + bad_source + failed + left.
struct restore_counts {
    std::uint64_t looked_at = 0;
    std::uint64_t present = 0;     ///< The place lists it, with whatever size: keepctl snapshot verify compares these.
    std::uint64_t untrashed = 0;   ///< It was in the trash, and is good.
    std::uint64_t copied = 0;      ///< With dry_run: that a source lists.
    std::uint64_t not_found = 0;   ///< Neither in the trash nor at a source. With dry_run: perhaps in the trash.
    std::uint64_t bad_source = 0;  ///< There are bad copies only.
    std::uint64_t failed = 0;
    std::uint64_t left = 0;   ///< Not begun, or cancelled.
    std::uint64_t bytes = 0;  ///< Of those untrashed or copied.

    [[nodiscard]] bool add_up() const noexcept {
        return looked_at == present + untrashed + copied + not_found + bad_source + failed + left;
    }
};

class restore_observer : public run_observer {
  public:
    /// With dry_run: the first source that lists a missing block; empty: none.
    virtual void planned(block_id block, std::string_view from) = 0;
};

class restoration {
  public:
    /// All must outlive it, and all places are connected. `sources` may have the target itself.
    restoration(repository& in, const snapshot_document& of, block_place& target, std::vector<block_place*> sources,
                restore_options options, restore_observer& observer);

    /// Finds out how to cut the work. A refusal: a place could not be listed; interrupted.
    [[nodiscard]] awaitable<outcome<unsigned>> choose_digits();
    /// To be awaited once. `done`: shards, by at least as many digits as the snapshot has, that need not be looked at.
    /// A refusal: the snapshot could not be read, is damaged or was pruned; interrupted.
    [[nodiscard]] awaitable<outcome<void>> run(const shard_set& done);
    /// Begins no more blocks.
    void stop();

    // --- results, also while it runs ---------------------------------------------------------------------------------
    [[nodiscard]] const restore_counts& counts() const noexcept { return counts_; }
    /// Shards that were looked at, by an earlier run or this one.
    [[nodiscard]] std::size_t shards_done() const noexcept { return shards_done_; }
    [[nodiscard]] std::size_t shards_total() const noexcept { return shards_total_; }
    /// Shards that could not be listed.
    [[nodiscard]] std::size_t shards_incomplete() const noexcept { return incomplete_; }
    [[nodiscard]] bool stopped() const noexcept { return stopping_; }
    /// Blocks under way.
    [[nodiscard]] std::size_t busy() const noexcept { return busy_; }
    /// Why it ended early: a place refuses everything, is away or full.
    [[nodiscard]] const std::optional<error>& fatal() const noexcept { return fatal_; }

  private:
    struct findings;
    enum class trash_state : unsigned char {
        untried,
        unknown,  ///< A request has failed, and may have taken effect.
        emptied,  ///< What it had of the block is a copy now, if it had any.
    };
    struct missing_block {
        block_id block;
        std::size_t shard = 0;
        trash_state trash = trash_state::untried;
    };
    awaitable<outcome<void>> restore_shards(std::vector<std::size_t> todo);
    awaitable<outcome<void>> second_round();
    awaitable<bool> restore_all(std::span<const missing_block> blocks);
    awaitable<outcome<bool>> restore_shard(inventory_cursor& cursor, std::size_t shard, bool last_try);
    [[nodiscard]] std::uint64_t not_restored() const noexcept {
        return counts_.not_found + counts_.bad_source + counts_.failed + counts_.left;
    }
    [[nodiscard]] std::vector<missing_block> missing_in(std::span<const entry> then, std::span<const entry> now,
                                                        std::size_t shard);
    void plan(std::span<const missing_block> missing);
    awaitable<void> work(std::span<const missing_block>& left);
    awaitable<void> restore_one(missing_block missing);
    awaitable<bool> bring_back(missing_block& missing, findings& found);
    awaitable<bool> copy_from(transfer& source, block_id block, findings& found);
    void give_up(error why);

    repository& repository_;
    const snapshot_document& document_;
    block_place& target_;
    const restore_options options_;
    restore_observer& observer_;
    std::vector<place_listing> listings_;               // Of the target, and with dry_run of the sources.
    std::vector<std::unique_ptr<transfer>> transfers_;  // From each source, in order.
    block_verifier verifier_;
    restore_counts counts_;
    std::vector<missing_block> again_;  // Failed once. Not counted yet, but for looked_at.
    std::set<std::size_t> unfinished_;  // Shards of these of which all other blocks are there.
    bool second_round_ = false;
    unsigned digits_ = 0;
    std::size_t shards_done_ = 0;
    std::size_t shards_total_ = 0;
    std::size_t incomplete_ = 0;
    std::size_t busy_ = 0;
    bool stopping_ = false;
    std::optional<error> fatal_;
};

}  // namespace keepstore::keepctl
