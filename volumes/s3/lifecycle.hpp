/// Touch, mtime, trash and untrash of a block, by the rules that daemons which share a bucket (the Go daemon among
/// them) rely on (docs/interface.md 4.4 to 4.7). They run on a loop of the volume.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

/// Writes the marker anew, if the block is there. Two requests; for large blocks a third, for the marker's attributes.
[[nodiscard]] awaitable<result<bool>> touch_block(std::shared_ptr<s3_core> core, md5_digest name, deadline until);

/// Returns the time of the marker. A block without one (of a daemon older than markers) gets one now.
[[nodiscard]] awaitable<result<block_time>> mtime_of_block(std::shared_ptr<s3_core> core, md5_digest name,
                                                           deadline until);

/// Copies the block to the trash, and deletes it if the copy is confirmed and the block was not written meanwhile.
/// Seven requests.
[[nodiscard]] awaitable<result<trash_outcome>> trash_block(std::shared_ptr<s3_core> core, md5_digest name,
                                                           trash_options options, deadline until);

/// Copies the block back from the trash, unless there is a good one, and marks it as written now.
[[nodiscard]] awaitable<result<bool>> untrash_block(std::shared_ptr<s3_core> core, md5_digest name, deadline until);

}  // namespace keepstore::volumes::s3
