/// Reads a directory in one pass: network file systems may lose the position between passes
/// (docs/interface.md 4.1, 8.5). Blocks.
#pragma once

#include "base/error.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/op_stats.hpp"

#include <functional>
#include <string_view>

namespace keepstore::volumes::directory {

/// A d_type of readdir(3): DT_REG, DT_DIR, ... or DT_UNKNOWN where the file system does not say.
using entry_type = unsigned char;

/// Calls `entry` for each name but "." and "..", from the beginning of `dir`, whatever its position. After ESTALE or
/// EBADCOOKIE it calls `restart` and starts again, at most limits::directory_read_attempts times.
[[nodiscard]] result<void> list_dir(op_stats& stats, int dir,
                                    const std::function<void(std::string_view name, entry_type type)>& entry,
                                    const std::function<void()>& restart);

}  // namespace keepstore::volumes::directory
