/// One walk over the volume that deletes what is due: trash, and temp files that were left behind. Root itself and all
/// directories with hex names below it, however deep, as the Go daemon does; nothing else (docs/interface.md 4.1, 8.5).
/// The walk is made of steps; several may run at the same time on threads of the volume.
#pragma once

#include "volumes/directory/directory_core.hpp"
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

    /// Blocks, for about limits::scan_step_time. \returns whether there may be more to do for this caller; false also
    /// while the last directories are in other callers' hands, see finished(). Errors are logged, counted and passed
    /// over, except that of a root that cannot be read.
    [[nodiscard]] result<bool> step();
    [[nodiscard]] bool finished() const;

    struct totals {
        empty_trash_stats trash;
        std::uint64_t temp_files_deleted = 0;
        std::uint64_t errors = 0;
    };
    [[nodiscard]] totals result_so_far() const;

  private:
    struct place {
        std::string path;  // Relative to Root; "" is Root.
        bool read = false;
        std::vector<std::string> entries;  // Still to be looked at.
    };

    [[nodiscard]] result<void> read(place& at, int dir);
    void look_at(int dir, const std::string& name, totals& into);
    void delete_trash(int dir, const std::string& name, std::int64_t due, totals& into);
    void delete_temp(int dir, const std::string& name, bool ours, totals& into);

    const std::shared_ptr<directory_core> core_;
    const what what_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::vector<place> pending_;
    unsigned active_ = 0;  // Steps that run.
    totals totals_;
};

}  // namespace keepstore::volumes::directory
