/// The sum of the memory that the process may hold at once for blocks, transfers and clients, one addend per line. It
/// tells an operator how much memory a host needs (docs/ARCHITECTURE.md, "Memory"); `keepstore -check` prints it.
///
/// Not in the sum: the program itself, stacks, and what the system's memory allocator keeps (malloc_keep_bytes);
/// bookkeeping of requests, which is small; and running indexes, which are few: one of a volume in the cloud holds at
/// most cloud_index_workers + cloud_index_pages_queued_max pages, of 1.5 MiB with 1,000 keys of 1 KiB each.
#pragma once

#include "base/limits.hpp"
#include "net/limits.hpp"
#include "protocol/limits.hpp"
#include "store/limits.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/limits.hpp"

#include <cstddef>

namespace keepstore::limits {

/// What is configured.
struct memory_users {
    std::size_t pool_budget_bytes = 0;  ///< API.MaxKeepBlobBuffers x 64 MiB.
    std::size_t directory_volumes = 0;
    std::size_t cloud_volumes = 0;  ///< S3, Azure.
    std::size_t pull_workers = 0;
    std::size_t requests = 0;     ///< MaxConcurrentRequests.
    std::size_t connections = 0;  ///< MaxConnections.
    std::size_t event_loops = 0;
};

/// One connection of a client: a request head at its largest, which is rare; 30 KiB are usual, for coroutine frames,
/// the rest of the input and TLS.
inline constexpr std::size_t connection_bytes_max = request_head_bytes_max + 32 * KiB;

/// One volume in the cloud.
inline constexpr std::size_t cloud_volume_bytes_max =
    // Shared downloads.
    cloud_fetch_memory_bytes
    // Reads that find none left there.
    + cloud_fetch_reserve_bytes
    // Ranges of blocks that are downloaded in parallel.
    + cloud_parallel_range_buffers * cloud_parallel_range_bytes
    // Parts of blocks that are uploaded in parallel.
    + cloud_parallel_part_buffers * cloud_part_bytes
    // The current part of each upload of unknown length.
    + cloud_unsized_uploads_max * cloud_part_bytes;

/// One volume's scrub.
inline constexpr std::size_t scrub_bytes_max =
    // Copies that are read and hashed.
    scrub_pool_bytes
    // The good copy of a repair.
    + repair_pool_bytes;

[[nodiscard]] constexpr std::size_t memory_bytes_max(const memory_users& u) noexcept {
    const std::size_t volumes = u.directory_volumes + u.cloud_volumes;
    return
        // Blocks that clients read and write.
        u.pool_budget_bytes
        // GETs that find no room there.
        + scratch_pool_bytes
        // Changes of the volume in the middle of a PUT.
        + copy_pool_bytes
        // The ends of blocks that were copied to a volume in the cloud when a commit failed: they wait for its commit.
        + (u.cloud_volumes > 0 ? u.requests * chunk_size_bytes : 0)
        // Scrubs of all volumes at a time.
        + volumes * scrub_bytes_max
        // Blocks on their way from other servers.
        + u.pull_workers * pull_memory_bytes
        // Blocks on their way to and from cloud services.
        + u.cloud_volumes * cloud_volume_bytes_max
        // Buffers for direct reads, one for each thread of a volume.
        + u.directory_volumes * volume_threads_max * direct_read_bytes_max
        // Clients.
        + u.connections * connection_bytes_max
        // Input buffers that event loops keep for reuse.
        + u.event_loops * input_buffers_kept_max * input_buffer_bytes
        // A pull list and a trash list that are being received.
        + 2 * work_list_bytes_max
        // Log lines: queued, and being written.
        + 2 * log_queue_bytes_max;
}

// The terms of a volume in the cloud: 64 + 16 + 64 + 60 + 40 MiB (docs/ARCHITECTURE.md).
static_assert(cloud_volume_bytes_max == (64 + 16 + 64 + 60 + 40) * MiB);
static_assert(scrub_bytes_max == 9 * MiB);
// Without volumes and clients: the budget, scratch and copy pool, two lists, the log.
static_assert(memory_bytes_max({.pool_budget_bytes = GiB}) == (1024 + 16 + 16 + 2 * 64 + 2 * 8) * MiB);

}  // namespace keepstore::limits
