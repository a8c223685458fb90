/// Touch, mtime, trash and untrash of a block, by the rules of the Go daemon (docs/interface.md 4.8), and on condition
/// that the blob is what it was when it was looked at (If-Match): two requests, and two more where another request
/// changed the blob in between. They run on a loop of the volume.
#pragma once

#include "volumes/azure/azure_core.hpp"

#include <memory>

namespace keepstore::volumes::azure {

/// Renews the time of the block. errc::not_found if it is in the trash.
[[nodiscard]] awaitable<result<bool>> touch_block(std::shared_ptr<azure_core> core, md5_digest name, deadline until);

[[nodiscard]] awaitable<result<block_time>> mtime_of_block(std::shared_ptr<azure_core> core, md5_digest name,
                                                           deadline until);

/// Marks the block as trash, or deletes it where the lifetime is 0.
[[nodiscard]] awaitable<result<trash_outcome>> trash_block(std::shared_ptr<azure_core> core, md5_digest name,
                                                           trash_options options, deadline until);

/// Takes the block out of the trash. errc::not_found if it is not there.
[[nodiscard]] awaitable<result<bool>> untrash_block(std::shared_ptr<azure_core> core, md5_digest name, deadline until);

}  // namespace keepstore::volumes::azure
