/// Emptying the trash of a bucket, and removing what killed daemons left behind. On a loop of the volume.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

/// Deletes what has been in the trash for its lifetime, with `workers` at a time, one page of the listing after the
/// other. What is in the trash by mistake (a race) is brought back. One object that cannot be dealt with is logged and
/// left.
[[nodiscard]] awaitable<result<empty_trash_stats>> sweep_trash(std::shared_ptr<s3_core> core, unsigned workers,
                                                               deadline until);

/// Aborts multipart uploads under names of blocks that are older than limits::s3_orphan_upload_age.
[[nodiscard]] awaitable<result<bool>> abort_orphan_uploads(std::shared_ptr<s3_core> core);

}  // namespace keepstore::volumes::s3
