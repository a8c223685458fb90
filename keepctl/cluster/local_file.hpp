/// Small files of the tool itself: state, failures, metrics. A crash leaves the old content or the new one. All block.
#pragma once

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

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
