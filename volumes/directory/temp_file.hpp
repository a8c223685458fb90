/// A block being written: a temp file in the block's folder, which is published under the block's name or removed.
/// The file is locked (flock) while it exists, so that the removal of left-over files skips it.
/// Everything blocks. Use from one thread at a time, except read_at, which may run concurrently with a write that
/// hangs.
#pragma once

#include "base/md5_digest.hpp"
#include "volumes/directory/directory_core.hpp"

#include <sys/uio.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace keepstore::volumes::directory {

class temp_file {
  public:
    /// Alignment of direct writes in the file: a page, so that direct and buffered writes never share one.
    static constexpr std::size_t direct_unit_bytes = 4096;

    /// Makes the file, and reserves `size` bytes on disk if it is known. errc::no_space.
    [[nodiscard]] static result<std::unique_ptr<temp_file>> create(std::shared_ptr<directory_core> core,
                                                                   const md5_digest& name,
                                                                   std::optional<std::uint64_t> size);
    /// Removes the file unless it was published.
    ~temp_file();
    temp_file(const temp_file&) = delete;
    temp_file& operator=(const temp_file&) = delete;

    /// Returns whether write() bypasses the page cache now. Then offset and every length must be multiples of
    /// direct_unit_bytes, and addresses of memory_alignment(). Becomes false when the file system refuses.
    [[nodiscard]] bool direct() const noexcept { return direct_; }
    [[nodiscard]] std::size_t memory_alignment() const noexcept { return memory_alignment_; }
    /// Makes further writes go through the page cache.
    void end_direct() noexcept;

    /// Writes all of `pieces` (which it uses up) at `offset`.
    [[nodiscard]] result<void> write(std::uint64_t offset, std::span<iovec> pieces);

    /// Reads into `into` from `offset`. \returns the bytes read; fewer than `into` only at the end of the file.
    [[nodiscard]] result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const;

    /// Publishes the file, `size` bytes long, as the block: atomically, and durably if the volume syncs. In this order:
    /// sync of the file, rename, sync of the folder. \returns errc::cancelled, with nothing published, if `abandoned()`
    /// is true before the rename.
    template <class Abandoned>
    [[nodiscard]] result<void> publish(std::uint64_t size,
                                       const std::optional<std::pair<std::string, std::vector<std::byte>>>& attribute,
                                       deadline until, Abandoned abandoned) {
        KS_CHECK(seal(size, attribute));
        if (abandoned()) return fail(errc::cancelled);
        return put_in_place(until);
    }

    /// Removes the name; the content stays readable through read_at.
    void unlink() noexcept;

  private:
    temp_file(std::shared_ptr<directory_core> core, const md5_digest& name) : core_(std::move(core)), block_(name) {}

    /// Starts to write what is in the page cache to the disk, and waits for what was started long ago, so that the last
    /// sync is short and a slow disk shows progress.
    void sync_behind(std::uint64_t written) noexcept;
    [[nodiscard]] result<void> open();
    void choose_direct(std::optional<std::uint64_t> size) noexcept;
    [[nodiscard]] result<void> seal(std::uint64_t size,
                                    const std::optional<std::pair<std::string, std::vector<std::byte>>>& attribute);
    [[nodiscard]] result<void> put_in_place(deadline until);
    [[nodiscard]] result<void> rename_to(const char* target, deadline until);

    const std::shared_ptr<directory_core> core_;
    const md5_digest block_;
    unique_fd dir_;
    unique_fd fd_;
    std::string name_;  // Empty once the name is published or removed.
    std::uint64_t reserved_ = 0;
    std::uint64_t sync_started_ = 0;  // Up to this offset.
    bool direct_ = false;
    std::size_t memory_alignment_ = 512;
};

}  // namespace keepstore::volumes::directory
