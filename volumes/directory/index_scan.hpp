/// One listing of a volume's blocks: the state that the steps of an index share. A step continues where any step
/// stopped and returns one batch; several may run concurrently on threads of the volume. Memory: the names in the
/// folders being read (16 bytes a block) and a batch for each worker.
#pragma once

#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/list_dir.hpp"
#include "volumes/volume.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace keepstore::volumes::directory {

class index_scan {
  public:
    index_scan(std::shared_ptr<directory_core> core, std::string prefix)
        : core_(std::move(core)), prefix_(std::move(prefix)) {}

    /// Lists a batch of blocks. Blocks, for about limits::scan_step_time, also within a large folder. The batch may be
    /// empty: nothing_left() says whether it was the last one. Any error makes the listing incomplete.
    [[nodiscard]] result<std::vector<block_info>> step();

    /// Returns whether the prefix selects a single folder: then one worker is enough.
    [[nodiscard]] bool in_one_folder() const noexcept { return prefix_.size() >= 3; }
    /// Returns whether a step that began now would find no folder to start with. The listing is complete when that is
    /// so and no step is running.
    [[nodiscard]] bool nothing_left();
    /// Number of entries in the folders that were read which are no blocks, nor trash or temp files. Files next to the
    /// folders are counted by the listing of the first ones, so that those of all parts of the volume count each once
    /// (if they are cut by fewer than three digits).
    [[nodiscard]] std::uint64_t foreign() const noexcept { return foreign_; }

  private:
    struct folder {
        unsigned index = 0;
        unique_fd fd;  // Once opened.
        dir_pass pass;
        bool read = false;              // All of its names are known.
        std::uint64_t foreign = 0;      // Of its entries.
        std::vector<md5_digest> names;  // Not yet listed; taken from the back.
    };

    /// Continues to list the root. \returns whether its folders are known.
    [[nodiscard]] result<bool> list_root(deadline end);
    /// Returns a folder to work on: one that a step left unfinished, or a new one; null if there is none.
    [[nodiscard]] std::unique_ptr<folder> next_folder();
    /// \returns false if it is gone, or is no folder.
    [[nodiscard]] result<bool> open_folder(folder& from);
    /// Continues to read the names of its blocks.
    [[nodiscard]] result<void> read_names(folder& from, deadline end);
    [[nodiscard]] result<void> list_block(folder& from, const md5_digest& name, std::vector<block_info>& into);

    const std::shared_ptr<directory_core> core_;
    const std::string prefix_;
    std::mutex root_mutex_;  // Held while a step reads the root; taken before mutex_.
    // Guarded by root_mutex_ until the folders are known, then constant. The scan's own: what is listed is that of one
    // directory, also when the volume goes away and comes back meanwhile.
    unique_fd root_;
    dir_pass root_pass_;
    std::vector<unsigned> root_folders_;
    std::uint64_t root_foreign_ = 0;

    std::atomic<std::uint64_t> foreign_ = 0;

    std::mutex mutex_;  // Never held during a call to the file system.
    // Guarded by mutex_.
    bool listed_ = false;
    std::vector<unsigned> folders_;  // Not yet opened; taken from the back.
    std::vector<std::unique_ptr<folder>> unfinished_;
    unsigned batches_ = 0;
};

}  // namespace keepstore::volumes::directory
