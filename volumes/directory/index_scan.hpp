/// One listing of a volume's blocks: the state that the steps of an index share. A step continues where any step
/// stopped and returns one batch; several may run concurrently on threads of the volume. Memory: the names in the
/// folders being read (16 bytes a block) and a batch for each worker.
#pragma once

#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace keepstore::volumes::directory {

class index_scan {
  public:
    index_scan(std::shared_ptr<directory_core> core, std::string prefix)
        : core_(std::move(core)), prefix_(std::move(prefix)) {}

    /// Lists a batch of blocks. Blocks, for about limits::scan_step_time. \returns an empty batch when no folder is
    /// left to start with. Any error makes the listing incomplete.
    [[nodiscard]] result<std::vector<block_info>> step();

    /// Returns whether the prefix selects a single folder: then one worker is enough.
    [[nodiscard]] bool in_one_folder() const noexcept { return prefix_.size() >= 3; }
    /// Returns whether a step that began now would find no folder to start with.
    [[nodiscard]] bool nothing_left();

  private:
    struct folder {
        unique_fd fd;
        std::vector<md5_digest> names;  // Not yet listed; taken from the back.
    };

    [[nodiscard]] result<void> list_root();
    /// The next folder to work on: one that a step left unfinished, or a new one.
    [[nodiscard]] result<std::unique_ptr<folder>> next_folder();
    [[nodiscard]] result<std::unique_ptr<folder>> open_folder(unsigned index);
    [[nodiscard]] result<void> list_block(folder& from, const md5_digest& name, std::vector<block_info>& into);

    const std::shared_ptr<directory_core> core_;
    const std::string prefix_;
    std::mutex mutex_;
    // Guarded by mutex_.
    bool listed_ = false;
    std::vector<unsigned> folders_;  // Not yet opened; taken from the back.
    std::vector<std::unique_ptr<folder>> unfinished_;
    unsigned batches_ = 0;
};

}  // namespace keepstore::volumes::directory
