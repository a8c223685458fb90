/// Touch, mtime, trash and untrash of a block, as daemons that share a bucket (the Go daemon among them) expect it of
/// each other (docs/interface.md 4.4 to 4.7). They run on a loop of the volume.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

/// Two requests, a look at the block and its marker written anew; for large blocks a third, for the marker's
/// attributes.
[[nodiscard]] awaitable<result<bool>> touch_block(std::shared_ptr<s3_core> core, md5_digest name, deadline until);

/// The time of the marker. A block without one (of a daemon older than markers) gets one now.
[[nodiscard]] awaitable<result<block_time>> mtime_of_block(std::shared_ptr<s3_core> core, md5_digest name,
                                                           deadline until);

/// Copies it to the trash, and deletes it when the copy is confirmed and nobody has written it meanwhile. Seven
/// requests.
[[nodiscard]] awaitable<result<trash_outcome>> trash_block(std::shared_ptr<s3_core> core, md5_digest name,
                                                           trash_options options, deadline until);

[[nodiscard]] awaitable<result<bool>> untrash_block(std::shared_ptr<s3_core> core, md5_digest name, deadline until);

}  // namespace keepstore::volumes::s3
