/// Small files of the tool itself: state, failures, metrics. A crash leaves the old content or the new one. All block.
#pragma once

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

/// A file in the making: appears under its name, whole and durable, or not at all. Used by one thread; all calls block.
class replacement_file {
  public:
    [[nodiscard]] static result<replacement_file> open(std::string path, unsigned mode = 0600);
    replacement_file(replacement_file&& other) noexcept = default;
    replacement_file& operator=(replacement_file&&) = delete;
    ~replacement_file();  ///< Without commit() the file is as it was.

    /// Writes what has come so far if it is much. An error also shows at commit().
    [[nodiscard]] result<void> write(std::string_view bytes);
    /// Writes over bytes that have been written, all of them.
    [[nodiscard]] result<void> write_at(std::size_t offset, std::string_view bytes);
    /// Writes, syncs, renames, and syncs the folder.
    [[nodiscard]] result<void> commit();

  private:
    replacement_file(std::string path, std::string temp, unique_fd fd)
        : path_(std::move(path)), temp_(std::move(temp)), fd_(std::move(fd)) {}
    [[nodiscard]] result<void> flush();

    std::string path_;
    std::string temp_;
    unique_fd fd_;
    std::string waiting_;  // Not written yet.
};

/// The failure of a call (errno) on a file, with its path: paths are of the operator's own making, so they may show.
[[nodiscard]] std::unexpected<error> file_error(std::string_view what, const std::string& path);
/// Writes all of the bytes. `path` is for errors.
[[nodiscard]] result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& path);
/// Makes durable which names the folder has; empty: that of the process.
[[nodiscard]] result<void> sync_folder(const std::string& folder);

/// Replaces the file: temp file, fsync, rename, fsync of the folder.
[[nodiscard]] result<void> replace_file(const std::string& path, std::string_view text, unsigned mode = 0600);

/// errc::not_found; too_large beyond `limit`.
[[nodiscard]] result<std::string> read_file(const std::string& path, std::size_t limit);

/// Makes the folder, and those above it that are missing, with mode 0700.
[[nodiscard]] result<void> make_folder(const std::string& path);

/// Opens the file, makes it if need be, and locks it (flock) until the descriptor is closed. errc::unavailable if
/// another process holds the lock.
[[nodiscard]] result<unique_fd> lock_file(const std::string& path);

}  // namespace keepstore::keepctl
