/// Touch, mtime, trash and untrash of one block: the calls in which daemons that share a directory can hurt each other.
/// All block, up to `until`; all are safe against each other and against writers, in this process and in others.
#pragma once

#include "volumes/directory/directory_core.hpp"

namespace keepstore::volumes::directory {

[[nodiscard]] result<void> touch_block(directory_core& core, const md5_digest& name, deadline until);
[[nodiscard]] result<block_time> mtime_of_block(directory_core& core, const md5_digest& name);
[[nodiscard]] result<trash_outcome> trash_block(directory_core& core, const md5_digest& name,
                                                const trash_options& options, deadline until);
[[nodiscard]] result<void> untrash_block(directory_core& core, const md5_digest& name, deadline until);

}  // namespace keepstore::volumes::directory
