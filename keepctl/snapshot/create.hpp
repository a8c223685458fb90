/// Makes a snapshot: lists a place shard by shard, writes each as an object while the next ones are listed, writes the
/// metadata, checks that all is there, and only then lists it in latest.json. Checksums and digests are computed on a
/// thread of their own. limits::create_shards_max shards are in memory: one is listed, the others are written, so that
/// a sync of one disk does not hold up the listing. Until it is listed the snapshot is invisible; what fails before the
/// swap is sent removes what it wrote. Never changes the place.
///
/// A snapshot is no point in time: each block was there at some moment between started_at and completed_at.
#pragma once

#include "base/async_semaphore.hpp"
#include "base/blocking_pool.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/listing.hpp"
#include "keepctl/snapshot/limits.hpp"
#include "keepctl/snapshot/repository.hpp"
#include "keepctl/snapshot/shrink_check.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

struct create_options {
    std::string scope;  ///< The place, as the command line names it.
    std::optional<unsigned> digits = {};
    bool allow_empty_source = false;
    /// Mounts that the last snapshot of this scope has, and that may be gone, be another device, or list far fewer
    /// blocks.
    std::set<std::string> allow_missing = {};
    std::chrono::nanoseconds time_max = limits::create_time_default;
    std::function<void(std::string_view)> note;
};

/// For progress; changes while the creation runs.
struct create_progress {
    std::size_t shards = 0;
    std::size_t shards_done = 0;
    snapshot_totals totals;
    listing_notes left_out;
};

class snapshot_creation {
  public:
    /// All must outlive it. The repository is open, the place connected.
    snapshot_creation(repository& into, block_place& from, create_options options);

    /// To be awaited once. Cancelled before its swap it removes what it wrote; the swap itself is not cancelled. What
    /// its caller awaits afterwards is not cancelled either. \returns the snapshot as it is listed.
    [[nodiscard]] awaitable<outcome<listed_snapshot>> run();

    [[nodiscard]] const create_progress& progress() const noexcept { return progress_; }

  private:
    [[nodiscard]] awaitable<outcome<void>> write_all();
    [[nodiscard]] awaitable<outcome<std::optional<snapshot_document>>> find_last(const latest_document& listed) const;
    [[nodiscard]] outcome<void> compare_mounts(const snapshot_document& last) const;
    [[nodiscard]] awaitable<outcome<void>> begin_shrink_check(const snapshot_document& last);
    [[nodiscard]] outcome<void> end_shrink_check() const;
    [[nodiscard]] awaitable<outcome<void>> write_shards();
    [[nodiscard]] awaitable<outcome<void>> choose_digits();
    /// Takes one shard after the other: lists it when its turn comes, and writes it.
    [[nodiscard]] awaitable<void> work_off_shards();
    /// Ends all of these.
    void fail_with(refusal why);
    /// \returns memory for the next shard.
    [[nodiscard]] awaitable<std::vector<entry>> write_shard(std::size_t shard, std::vector<entry> entries);
    [[nodiscard]] awaitable<outcome<void>> write_metadata();
    [[nodiscard]] awaitable<void> remove_objects();

    repository& repository_;
    block_place& place_;
    const create_options options_;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    snapshot_document document_;
    std::string metadata_sha256_;
    create_progress progress_;
    async_semaphore listing_turn_{1};  // Guards next_shard_.
    std::size_t next_shard_ = 0;
    std::optional<shrink_check> shrinking_;
    std::optional<refusal> failed_;  // Of the first shard that failed.
    bool wrote_ = false;
    blocking_pool digests_{{.name = "inventory"}};
};

/// The edit that lists a snapshot whose objects are all there: for create and adopt.
[[nodiscard]] repository::edit_function listing_edit(repository& in, snapshot_document document, std::string sha256);

}  // namespace keepstore::keepctl
