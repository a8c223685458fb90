/// Probes of a Directory volume, each on a thread of its own (volumes/health.hpp): the root is the directory that it
/// was at the start; a block can be read; a file can be written and synced. They run while the volume is not healthy,
/// the first one always.
#pragma once

#include "base/blocking_pool.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/health.hpp"

#include <functional>
#include <memory>

namespace keepstore::volumes::directory {

[[nodiscard]] constexpr traffic traffic_of(blocking_pool::work kind) noexcept {
    return kind == blocking_pool::work::read ? traffic::reads : traffic::writes;
}
[[nodiscard]] health_tracker::activity activity(const blocking_pool& pool, traffic t) noexcept;

/// Returns the function that a probe thread calls at intervals. It holds the pool weakly.
[[nodiscard]] std::function<void()> probe_of(std::shared_ptr<directory_core> core,
                                             const std::shared_ptr<blocking_pool>& pool, traffic t);

/// Lists the root and the first folder of blocks that is not empty, and reads from a block there, past the page cache
/// where that is possible. Blocks.
[[nodiscard]] result<void> probe_reads(directory_core& core);
/// Creates, writes, syncs and removes a file in the root. A full file system responds, too. Blocks.
[[nodiscard]] result<void> probe_writes(directory_core& core);

}  // namespace keepstore::volumes::directory
