/// The Directory driver's block_writer. Appended slices queue up; one job at a time on a thread of the volume writes
/// what is there, in large batches, while the next bytes arrive. Blocks up to limits::write_at_once_bytes_max are only
/// queued, and written wholly by commit's single job.
///
/// The writer (event loop) and its job (volume thread) share a `write_state`, which also outlives a dropped writer
/// while a job runs or hangs: the job's end then removes the temp file. Nothing here blocks the event loop.
#pragma once

#include "base/blocking_pool.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <optional>

namespace keepstore::volumes::directory {

[[nodiscard]] std::unique_ptr<block_writer> make_directory_writer(std::shared_ptr<directory_core> core,
                                                                  std::shared_ptr<blocking_pool> pool,
                                                                  const md5_digest& name,
                                                                  std::optional<std::uint64_t> size);

}  // namespace keepstore::volumes::directory
