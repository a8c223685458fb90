/// The Directory driver's block_writer. append queues slices; one job at a time, on a thread of the volume, writes all
/// that are queued, in large batches, while the next bytes arrive. Blocks up to limits::write_at_once_bytes_max are
/// only queued, and written by the single job of commit.
///
/// The writer (event loop) and its job (volume thread) share a `write_state`, which outlives a destroyed writer while a
/// job runs or hangs: the end of the job then removes the temp file. Nothing here blocks the event loop.
#pragma once

#include "base/blocking_pool.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/limits.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <optional>

namespace keepstore::volumes::directory {

/// Begins a block of `size` bytes if known; see volume::create. Does nothing yet, so it cannot fail.
[[nodiscard]] std::unique_ptr<block_writer> make_directory_writer(std::shared_ptr<directory_core> core,
                                                                  std::shared_ptr<blocking_pool> pool,
                                                                  const md5_digest& name,
                                                                  std::optional<std::uint64_t> size);

}  // namespace keepstore::volumes::directory
