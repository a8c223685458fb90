/// Empties the trash of a container. On a loop of the volume.
#pragma once

#include "volumes/azure/azure_core.hpp"

#include <memory>

namespace keepstore::volumes::azure {

/// Deletes the blobs whose lifetime in the trash is over, with `workers` at a time, page by page, on condition that
/// they are what the listing showed: one that was untrashed or written meanwhile stays. A blob that cannot be processed
/// is logged and left.
[[nodiscard]] awaitable<result<empty_trash_stats>> sweep_trash(std::shared_ptr<azure_core> core, unsigned workers,
                                                               deadline until);

}  // namespace keepstore::volumes::azure
