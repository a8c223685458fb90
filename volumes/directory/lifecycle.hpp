/// The life cycle of a block after it was written: touch, mtime, trash and untrash. These calls can race with each
/// other and with writers, in this process and in other daemons on the same directory; the block's flock makes each one
/// step. All block, up to `until`.
#pragma once

#include "volumes/directory/directory_core.hpp"

namespace keepstore::volumes::directory {

/// Sets the mtime to now, durably. errc::not_found.
[[nodiscard]] result<void> touch_block(directory_core& core, const md5_digest& name, deadline until);
/// Returns the mtime. errc::not_found.
[[nodiscard]] result<block_time> mtime_of_block(directory_core& core, const md5_digest& name);
/// Moves the block to the trash, or deletes it, if volumes/trash_rule.hpp allows. Not synced. errc::not_found.
[[nodiscard]] result<trash_outcome> trash_block(directory_core& core, const md5_digest& name,
                                                const trash_options& options, deadline until);
/// Restores the trash copy that would be deleted last, with mtime now, durably; a block that is there is touched.
/// errc::not_found.
[[nodiscard]] result<void> untrash_block(directory_core& core, const md5_digest& name, deadline until);

}  // namespace keepstore::volumes::directory
