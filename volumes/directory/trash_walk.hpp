/// One walk over the volume that deletes trash that is due, and temp files that killed processes left (not on a volume
/// that may not be written: they may be another host's upload). It visits Root
/// and all directories with hex names below it, however deep, as the Go daemon does (docs/interface.md 4.1, 8.5). The
/// walk is made of steps; several may run concurrently on threads of the volume.
#pragma once

#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/list_dir.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::volumes::directory {

class trash_walk {
  public:
    enum class what { temp_files, temp_files_and_trash };

    trash_walk(std::shared_ptr<directory_core> core, what w) : core_(std::move(core)), what_(w) {
        pending_.push_back({});
    }

    /// Does a part of the walk. Blocks, for about limits::scan_step_time. \returns whether another step would find work
    /// now; false also while other steps work on the last directories, see finished(). Errors are logged and counted,
    /// and the walk goes on, except after one that makes root unreadable.
    [[nodiscard]] result<bool> step();
    /// Returns whether the walk is complete.
    [[nodiscard]] bool finished() const;

    struct totals {
        empty_trash_stats trash;
        std::uint64_t temp_files_deleted = 0;
        std::uint64_t errors = 0;
    };
    [[nodiscard]] totals result_so_far() const;

  private:
    struct directory {
        std::string path;                  // Relative to Root; "" is Root.
        bool read = false;                 // All of its names are known.
        std::vector<std::string> entries;  // Trash and temp files not yet examined.
        // While it is being read:
        unique_fd fd;
        dir_pass pass;
        std::vector<std::string> below;
        std::vector<unsigned> block_dirs;
    };

    /// Continues to read the names of a directory.
    [[nodiscard]] result<void> read(directory& at, deadline end);
    void examine(int dir, const std::string& name, totals& into);
    void delete_trash(int dir, const std::string& name, std::int64_t due, totals& into);
    void delete_temp(int dir, const std::string& name, bool ours, totals& into);

    const std::shared_ptr<directory_core> core_;
    const what what_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::vector<directory> pending_;
    unsigned active_ = 0;  // Steps that run.
    totals totals_;
};

}  // namespace keepstore::volumes::directory
