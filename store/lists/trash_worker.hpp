/// The background work of the core: the trash-list workers and the emptying of the trash
/// (docs/interface.md 1.6, 4.5,\n/// 5.2); pull_worker.hpp has the pull lists. Each is a coroutine that runs until it
/// is cancelled.
#pragma once

#include "protocol/work_lists.hpp"
#include "store/block_store.hpp"
#include "store/lists/work_queue.hpp"

#include <chrono>

namespace keepstore::store {

/// Takes items from the list and trashes what they name, with the safety checks of docs/interface.md 5.2: the item is
/// older than the signature TTL, the copy's mtime is exactly the item's, and the driver's own check under its lock.
/// Several may run on one queue (Collections.BlobTrashConcurrency).
[[nodiscard]] awaitable<void> run_trash_worker(block_store& store, work_queue<protocol::trash_item>& queue);

/// One item of a trash list.
[[nodiscard]] awaitable<void> execute_trash_item(block_store& store, protocol::trash_item item);

struct empty_trash_options {
    std::chrono::nanoseconds interval;     ///< Collections.BlobTrashCheckInterval.
    std::chrono::nanoseconds first_after;  ///< How soon after the start; see docs/compatibility.md.
    unsigned concurrency;                  ///< Collections.BlobDeleteConcurrency.
};

/// Deletes what is due in the trash of every volume that may be trashed: soon after the start, then every interval.
[[nodiscard]] awaitable<void> run_trash_emptier(block_store& store, empty_trash_options options);

}  // namespace keepstore::store
