/// Brings every block of a source that a destination lacks to the destination. Never deletes.
///
///     list shard ──► merge ──► queue of planned blocks ──► workers: read ► hash ► store ► commit
///        │                                                    │ failed
///        └ incomplete: listed once more at the end            └ tried once more after all others
///
/// A shard is done when every one of its blocks is copied, present or gone; others are looked at again by the next run.
/// Used from one event loop.
#pragma once

#include "base/async_condition.hpp"
#include "base/async_queue.hpp"
#include "digest/engine.hpp"
#include "keepctl/cluster/block_names.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/shards.hpp"
#include "pool/buffer_pool.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

struct replicate_options {
    unsigned jobs = limits::keepctl_jobs_default;
    std::size_t memory_bytes = limits::keepctl_memory_default;
    unsigned digest_threads = 1;
    std::optional<std::int64_t> since = {};  ///< Only blocks with a copy written at or after it; ns since 1970.
    std::string prefix = {};                 ///< Only blocks whose names begin with it.
    std::optional<std::vector<md5_digest>> only = {};  ///< Only these, sorted.
    bool dry_run = false;
    /// A place that fails for this long without a success ends the run.
    std::chrono::nanoseconds give_up_after = limits::give_up_after_default;
};

/// Outcomes of blocks. They add up: listed = present + copied + replaced + gone + bad_source + failed + left.
struct replicate_counts {
    std::uint64_t listed = 0;  ///< Blocks of the source that were looked at.
    std::uint64_t present = 0;
    std::uint64_t copied = 0;    ///< With dry_run: that would be.
    std::uint64_t replaced = 0;  ///< The destination had a bad copy.
    std::uint64_t gone = 0;      ///< The source has it no longer.
    std::uint64_t bad_source = 0;
    std::uint64_t failed = 0;
    std::uint64_t left = 0;       ///< Not begun, or cancelled, when the run ended.
    std::uint64_t bytes = 0;      ///< Of those that were copied or replaced.
    std::uint64_t too_large = 0;  ///< Entries that are no blocks; not among those listed.

    [[nodiscard]] bool add_up() const noexcept {
        return listed == present + copied + replaced + gone + bad_source + failed + left;
    }
};

/// Hears what happens, on the event loop.
class run_observer {
  public:
    virtual ~run_observer() = default;
    virtual void warn(std::string_view text) = 0;
    virtual void failed(const block_failure& failure) = 0;
    /// A shard has been dealt with.
    virtual void shard_done(std::size_t shard) = 0;
};

class replication {
  public:
    /// All must outlive it. Both places are connected.
    replication(block_place& source, block_place& target, const replicate_options& options, run_observer& observer);

    /// Looks at one shard of three digits (or one digit) of both places. \returns the number of digits to cut by.
    [[nodiscard]] awaitable<result<unsigned>> choose_digits();

    /// Works on all shards but those of `skip`, whose number of digits it takes. To be spawned once.
    [[nodiscard]] awaitable<void> run(shard_set skip);

    /// Begins no more blocks and no more shards.
    void stop();
    /// Blocks under way.
    [[nodiscard]] std::size_t busy() const noexcept { return busy_; }

    // --- results, also while it runs ---------------------------------------------------------------------------------
    [[nodiscard]] const replicate_counts& counts() const noexcept { return counts_; }
    [[nodiscard]] std::size_t shards_done() const noexcept { return shards_done_; }
    [[nodiscard]] std::size_t shards_total() const noexcept { return shards_total_; }
    /// Shards that could not be listed.
    [[nodiscard]] std::size_t shards_incomplete() const noexcept { return incomplete_.size(); }
    [[nodiscard]] bool stopped() const noexcept { return stopping_; }
    /// Why the run ended early: a place refuses everything, or is full.
    [[nodiscard]] const std::optional<error>& fatal() const noexcept { return fatal_; }
    /// Whether the source has listed any entry, before filters.
    [[nodiscard]] bool source_has_entries() const noexcept { return source_has_entries_; }

  private:
    struct shard_work {
        std::size_t shard = 0;
        std::size_t pending = 0;  ///< Planned blocks without an outcome.
        bool planned = false;     ///< All of its blocks are planned.
        bool failed = false;
    };
    struct planned_block {
        block_id block;
        /// The size of the destination's copy, where it is not known to be the block: verified before anything else.
        std::optional<std::uint32_t> target_size;
        bool sizes_differ = false;  ///< ... because the source has the name with two sizes.
        std::shared_ptr<shard_work> shard;
    };
    enum class outcome : unsigned char { copied, present, gone, bad_source, failed, cancelled };
    struct attempt {
        outcome end;
        error why = errc::cancelled;
        bool may_pass = false;  ///< Another attempt may succeed.
        bool ends_run = false;  ///< No other block would succeed.
    };

    awaitable<void> produce(const shard_set& skip);
    awaitable<void> work();
    awaitable<void> plan_shard(std::size_t shard, unsigned digits, bool last_try);
    awaitable<bool> planned(std::span<const entry> from, std::span<const entry> to, std::shared_ptr<shard_work> shard);
    awaitable<bool> wait_for_idle();

    awaitable<attempt> copy_patiently(const planned_block& block);
    awaitable<attempt> copy(const planned_block& block);
    awaitable<attempt> copy_to(const planned_block& block, std::size_t target, deadline until);
    awaitable<result<void>> verify(block_place& place, block_id block, deadline until);
    [[nodiscard]] static attempt outcome_of_source(error why);
    void finish(planned_block block, attempt end);
    void finish_shard(const std::shared_ptr<shard_work>& shard);
    void give_up(error why);
    /// Whether to wait and try again, because the place fails or is full as a whole.
    awaitable<bool> wait_out(const error& why);
    void note_success();
    [[nodiscard]] bool wanted(const md5_digest& name, std::span<const entry> copies) const;
    [[nodiscard]] bool shard_wanted(std::string_view prefix) const;
    [[nodiscard]] static attempt failure(error why, bool of_target);

    block_place& source_;
    block_place& target_;
    const replicate_options& options_;
    run_observer& observer_;
    digest::engine engine_;
    pool::buffer_pool pool_;

    std::mutex mutex_;  // For the condition: one thread runs it all.
    async_condition idle_{mutex_};
    std::unique_ptr<async_queue<planned_block>> queue_;
    std::array<place_listing, 2> listings_;  // Of the source and the target: one shard.
    std::vector<planned_block> again_;       // Failed once.
    std::vector<std::size_t> incomplete_;
    replicate_counts counts_;
    std::size_t unfinished_ = 0;  // Queued or under way.
    std::size_t busy_ = 0;
    std::size_t shards_done_ = 0;
    std::size_t shards_total_ = 0;
    bool stopping_ = false;
    bool second_round_ = false;
    unsigned failures_in_a_row_ = 0;
    std::optional<std::chrono::steady_clock::time_point> paused_since_;
    bool source_has_entries_ = false;
    std::optional<error> fatal_;
};

}  // namespace keepstore::keepctl
