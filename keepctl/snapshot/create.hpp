/// Makes a snapshot: lists a place shard by shard, writes each as an object while the next one is listed, writes the
/// metadata, checks that all is there, and only then lists it in latest.json. Checksums and digests are computed on a
/// thread of their own. At most three shards are in memory: one being listed, one being written, and the memory of the
/// one before, which is used again. Until that it is invisible; if it fails
/// before the swap is sent, what it wrote is removed. Never changes the place.
///
/// A snapshot is no point in time: each block was there at some moment between started_at and completed_at.
#pragma once

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
    std::uint64_t too_large = 0;  ///< Entries that are no blocks, and were left out.
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
    [[nodiscard]] awaitable<void> list_shard(std::size_t shard);
    [[nodiscard]] awaitable<void> write_shard(std::size_t shard, std::vector<entry> entries);
    [[nodiscard]] awaitable<outcome<void>> write_metadata();
    [[nodiscard]] awaitable<void> remove_objects();

    repository& repository_;
    block_place& place_;
    const create_options options_;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    snapshot_document document_;
    std::string metadata_sha256_;
    create_progress progress_;
    place_listing listing_;
    std::vector<entry> spare_;  // Memory of the shard that was written last.
    std::optional<shrink_check> shrinking_;
    std::optional<refusal> write_failed_;
    bool wrote_ = false;
    blocking_pool digests_{{.name = "inventory"}};
};

/// The edit that lists a snapshot whose objects are all there: for create and adopt.
[[nodiscard]] repository::edit_function listing_edit(repository& in, snapshot_document document, std::string sha256);

}  // namespace keepstore::keepctl
