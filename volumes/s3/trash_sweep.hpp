/// Empties the trash of a bucket, and removes uploads of killed daemons. On a loop of the volume.
#pragma once

#include "volumes/s3/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

/// Deletes the objects whose lifetime in the trash is over, with `workers` at a time, page by page. Blocks that are in
/// the trash because of a race are restored. An object that cannot be processed is logged and left.
[[nodiscard]] awaitable<result<empty_trash_stats>> sweep_trash(std::shared_ptr<s3_core> core, unsigned workers,
                                                               deadline until);

/// Aborts multipart uploads under names of blocks that are older than limits::s3_orphan_upload_age.
[[nodiscard]] awaitable<result<bool>> abort_orphan_uploads(std::shared_ptr<s3_core> core);

}  // namespace keepstore::volumes::s3
