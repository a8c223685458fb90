/// The Directory driver: blocks as files in the layout of the Go daemon (docs/interface.md 4.1;
/// volumes/directory/names.hpp shows it), durable before they are acknowledged. Several daemons may serve one
/// directory.
#pragma once

#include "base/limits.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/limits.hpp"
#include "volumes/volume.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace keepstore::volumes {

/// Whether blocks are written past the page cache (O_DIRECT). File systems without it are written the usual way.
enum class direct_io {
    automatic,  ///< Blocks of at least limits::direct_io_bytes_min when the volume syncs.
    on,
    off,
};

struct directory_options {
    std::string root;        ///< Absolute path of an existing directory.
    bool serialize = false;  ///< One file operation at a time.
    /// The configuration allows writing. Otherwise nothing on the volume changes, but for trash: even a temp file there
    /// may be an upload of another host.
    bool may_write = true;
    bool sync = true;  ///< Sync before a commit is acknowledged; the Go daemon does not.
    direct_io direct = direct_io::automatic;
    /// The volume counts as full with less free space than this.
    std::uint64_t free_bytes_min = limits::block_size_bytes_max;
    unsigned threads_max = limits::volume_threads_max;
    std::size_t queue_max = limits::volume_queue_max;
};

/// Says whether the directory can be opened, and changes nothing. Blocks.
[[nodiscard]] result<void> check_directory_volume(const directory_options& options);

/// Opens the directory, and starts to remove left-over temp files in the background. Blocks.
/// errc::bad_request if root is not an absolute path, errc::not_found.
[[nodiscard]] result<std::unique_ptr<volume>> open_directory_volume(directory_options options);

}  // namespace keepstore::volumes
