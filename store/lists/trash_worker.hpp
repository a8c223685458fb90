/// Trash lists, and emptying the trash (docs/interface.md 1.6, 4.5, 5.2). Each run_ function is a coroutine to be
/// spawned; it runs until it is cancelled.
#pragma once

#include "protocol/work_lists.hpp"
#include "store/block_store.hpp"
#include "store/lists/work_queue.hpp"

#include <chrono>

namespace keepstore::store {

/// Executes the items of the queue. Several may run on one queue (Collections.BlobTrashConcurrency).
[[nodiscard]] awaitable<void> run_trash_worker(block_store& store, work_queue<protocol::trash_item>& queue);

/// Trashes the copies that the item names, if its mtime is older than the signature TTL and exactly the copy's; the
/// driver checks both again under its lock. The outcome is logged.
[[nodiscard]] awaitable<void> execute_trash_item(block_store& store, protocol::trash_item item);

struct empty_trash_options {
    std::chrono::nanoseconds interval;     ///< Collections.BlobTrashCheckInterval.
    std::chrono::nanoseconds first_after;  ///< How soon after the start; see docs/compatibility.md.
    unsigned concurrency;                  ///< Collections.BlobDeleteConcurrency.
};

/// Deletes expired copies from the trash of every mount that allows trash: soon after the start, then every interval.
[[nodiscard]] awaitable<void> run_trash_emptier(block_store& store, empty_trash_options options);

}  // namespace keepstore::store
