/// Looks whether snapshots are whole: latest.json lists the digest of the metadata, and these the size and digest of
/// each object. Changes nothing.
#pragma once

#include "keepctl/snapshot/repository.hpp"

#include <optional>
#include <string>

namespace keepstore::keepctl {

struct check_result {
    /// Nothing: it is whole. Else what is damaged, in one line.
    std::optional<std::string> damage;
    bool pruned = false;  ///< It was removed while it was looked at.
};

/// Checks one listed snapshot: its metadata, and that all objects are there with their sizes. With `read` each object
/// is read, and its digest, checksums, order and sums are checked. A failure says that it could not be looked at.
[[nodiscard]] awaitable<outcome<check_result>> check_snapshot(repository& in, const listed_snapshot& which, bool read);

/// The same for a snapshot that is not listed: for adopt. \returns its metadata, if all of it is good.
struct unlisted_snapshot {
    snapshot_document document;
    std::string sha256;  ///< Of snapshot.json.
};
[[nodiscard]] awaitable<outcome<unlisted_snapshot>> read_unlisted(repository& in, snapshot_id id);

/// The newest snapshot before or after `other` that is whole, by its sizes, or with `read` by its data; for messages.
[[nodiscard]] awaitable<std::optional<snapshot_id>> newest_whole(repository& in, const latest_document& listed,
                                                                 std::optional<snapshot_id> other, bool read = false);

/// Adds the blocks and copies of a sorted list.
void add_totals(snapshot_totals& totals, std::span<const entry> sorted);

}  // namespace keepstore::keepctl
