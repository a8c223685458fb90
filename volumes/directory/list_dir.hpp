/// Reads a directory in one pass: network file systems may lose the position between passes
/// (docs/interface.md 4.1, 8.5). Blocks.
#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/op_stats.hpp"

#include <functional>
#include <string_view>

namespace keepstore::volumes::directory {

/// A d_type of readdir(3): DT_REG, DT_DIR, ... or DT_UNKNOWN where the file system does not say.
using entry_type = unsigned char;

/// A pass over one directory that may pause, so that a large or slow directory is read in steps. Use from one thread
/// at a time.
class dir_pass {
  public:
    /// Calls `entry` for each further name but "." and "..", and stops after the first read that ends past `end`. Each
    /// call gets the same descriptor, from whose beginning the pass starts, whatever its position. After ESTALE or
    /// EBADCOOKIE it calls `restart` and starts again, at most limits::directory_read_attempts times.
    /// \returns whether the pass is complete.
    [[nodiscard]] result<bool> step(op_stats& stats, int dir,
                                    const std::function<void(std::string_view name, entry_type type)>& entry,
                                    const std::function<void()>& restart, deadline end);

  private:
    unsigned attempt_ = 0;  // 0: not begun.
};

/// Makes a whole pass at once.
[[nodiscard]] result<void> list_dir(op_stats& stats, int dir,
                                    const std::function<void(std::string_view name, entry_type type)>& entry,
                                    const std::function<void()>& restart);

}  // namespace keepstore::volumes::directory
