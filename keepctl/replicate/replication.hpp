/// Brings every block of a source that a destination lacks to the destination. Never deletes.
///
///     list shard ──► merge ──► queue of planned blocks ──► workers: transfer.hpp
///        │                                                    │ failed, or its servers are paused
///        └ incomplete: listed once more at the end            └ tried once more after all others
///
/// The next shard is listed while this one is merged. A shard is done when every one of its blocks is copied, present
/// or gone; others are looked at again by the next run. With `newest_first` the shards are passed over once for each
/// band of ages, but only those shards that lack a block of that band. Used from one event loop.
#pragma once

#include "base/async_condition.hpp"
#include "base/async_queue.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/copy_counts.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/listing.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/replicate/run_observer.hpp"
#include "keepctl/replicate/transfer.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
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
    std::uint64_t bandwidth = 0;  ///< Bytes per second; 0: no limit.
    bool newest_first = false;
    bool verify = false;  ///< Lists both places once more, after all others.
    /// A server that fails for this long without a success ends the run.
    std::chrono::nanoseconds give_up_after = limits::give_up_after_default;
};

struct replicate_counts : copy_counts {
    std::uint64_t planned = 0;         ///< Of those listed: that the destination lacks.
    std::uint64_t planned_bytes = 0;   ///< Of these.
    std::uint64_t verify_missing = 0;  ///< With verify: older than the run, and not in the destination's index.
    listing_notes left_out = {};       ///< Of the source, not among those listed.
};

class replication {
  public:
    /// All must outlive it. Both places are connected.
    replication(block_place& source, block_place& target, const replicate_options& options, run_observer& observer);

    /// Looks at one shard of three digits (or one digit) of both places. \returns the number of digits to cut by;
    /// errc::bad_request if shards do not fit in the memory.
    [[nodiscard]] awaitable<result<unsigned>> choose_digits();

    /// Works on all shards but those of `skip`, whose number of digits it takes. To be spawned once.
    [[nodiscard]] awaitable<void> run(shard_set skip);

    /// Begins no more blocks and no more shards.
    void stop();
    /// Blocks under way.
    [[nodiscard]] std::size_t busy() const noexcept { return busy_; }
    /// Whether it waits for a place that does not work.
    [[nodiscard]] bool waiting() const noexcept {
        return waiting_for_place_ || (busy_ > 0 && transfer_.waiting() == busy_);
    }

    // --- results, also while it runs ---------------------------------------------------------------------------------
    [[nodiscard]] const replicate_counts& counts() const noexcept { return counts_; }
    [[nodiscard]] std::size_t shards_done() const noexcept { return shards_done_; }
    [[nodiscard]] std::size_t shards_total() const noexcept { return shards_total_; }
    /// Shards that could not be listed.
    [[nodiscard]] std::size_t shards_incomplete() const noexcept { return incomplete_.size(); }
    /// Whether all blocks are planned: totals are known.
    [[nodiscard]] bool all_planned() const noexcept { return all_planned_; }
    [[nodiscard]] bool stopped() const noexcept { return stopping_; }
    /// Why the run ended early: a place refuses everything, is away or full.
    [[nodiscard]] const std::optional<error>& fatal() const noexcept { return fatal_; }
    /// Whether the source has listed any entry, before filters.
    [[nodiscard]] bool source_has_entries() const noexcept { return source_has_entries_; }

  private:
    static constexpr unsigned band_count = 4;

    struct shard_work {
        std::size_t shard = 0;
        std::size_t pending = 0;  ///< Planned blocks without an outcome.
        bool planned = false;     ///< All of its blocks are planned.
        bool failed = false;
        std::array<bool, band_count> lacks = {};  ///< Bands for which it is to be listed again.
    };
    /// What one listing of a shard is for: bands from `first` to `last`. Blocks that are present are counted by the
    /// listing whose first band is 0.
    struct shard_pass {
        std::shared_ptr<shard_work> work;
        unsigned first = 0;
        unsigned last = band_count - 1;
    };
    struct listed_shard {
        std::array<place_listing, 2> places;  // Of the source and the target.
        std::string prefix = {};
        result<void> end = success();
    };
    struct planned_block {
        wanted_block wanted;
        bool replaces = false;
        std::shared_ptr<shard_work> shard;
    };

    awaitable<void> produce(const shard_set& skip);
    awaitable<void> pass_over(std::vector<shard_pass> todo, bool last_try);
    awaitable<void> list(std::size_t shard, listed_shard& into);
    awaitable<result<bool>> wait_for_places(listed_shard& failed);
    awaitable<void> plan_shard(shard_pass what, listed_shard& listed, bool last_try);
    awaitable<bool> plan_block(std::span<const entry> from, std::span<const entry> to, const shard_pass& what);
    awaitable<void> second_round();
    awaitable<void> verify_all();
    void verify_shard(const listed_shard& listed);
    awaitable<void> work();
    awaitable<bool> wait_for_idle();

    void finish(planned_block block, copy_outcome end);
    void finish_shard(const std::shared_ptr<shard_work>& shard);
    void report(const block_id& block, std::string_view kind, copy_outcome end);
    void give_up(error why);
    [[nodiscard]] unsigned band_of(std::span<const entry> copies) const;
    [[nodiscard]] bool wanted(const md5_digest& name, std::span<const entry> copies) const;
    [[nodiscard]] bool shard_wanted(std::string_view prefix) const;

    block_place& target_;
    const replicate_options& options_;
    run_observer& observer_;
    transfer transfer_;
    const std::int64_t began_;  // By the wall clock; ns since 1970.

    std::mutex mutex_;  // For the condition: one thread runs it all.
    async_condition idle_{mutex_};
    std::unique_ptr<async_queue<planned_block>> queue_;
    std::array<listed_shard, 2> listings_;  // This shard, and the next one.
    std::vector<planned_block> again_;      // Failed once, or deferred.
    std::vector<shard_pass> incomplete_;
    std::vector<md5_digest> reported_;  // Failures that verify need not report again.
    replicate_counts counts_;
    unsigned digits_ = 0;
    std::size_t unfinished_ = 0;  // Queued or under way.
    std::size_t busy_ = 0;
    std::size_t shards_done_ = 0;
    std::size_t shards_total_ = 0;
    unsigned listings_failed_ = 0;  // In a row.
    bool stopping_ = false;
    bool second_round_ = false;
    bool all_planned_ = false;
    bool waiting_for_place_ = false;
    bool source_has_entries_ = false;
    std::optional<error> fatal_;
};

}  // namespace keepstore::keepctl
