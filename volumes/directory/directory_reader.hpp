/// The Directory driver's block_reader: an open file. Cached pages are read and compared in place (preadv2 with
/// RWF_NOWAIT), the rest on the volume's threads.
#pragma once

#include "base/blocking_pool.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/volume.hpp"

#include <memory>

namespace keepstore::volumes::directory {

/// Makes a reader of `file`, a regular file of `size` bytes, open for reading.
[[nodiscard]] std::unique_ptr<block_reader> make_directory_reader(std::shared_ptr<directory_core> core,
                                                                  std::shared_ptr<blocking_pool> pool, shared_fd file,
                                                                  std::uint64_t size);

/// Opens the file with the block's name, whatever its type; `flags` are added to those for reading. Blocks.
/// \returns a descriptor, or -1 with errno. errc::unavailable: the volume is gone.
[[nodiscard]] result<int> open_block_file(directory_core& core, const md5_digest& name, int flags = 0);

struct opened_block {
    shared_fd fd;
    std::uint64_t size = 0;
};
/// Opens a block. errc::not_found if it is not a regular file, errc::unavailable when the process has no descriptors
/// left. Blocks.
[[nodiscard]] result<opened_block> open_block(directory_core& core, const md5_digest& name);

/// Opens a block from the kernel's caches, without waiting; nullopt when that is not possible.
[[nodiscard]] std::optional<result<opened_block>> try_open_block(directory_core& core, const md5_digest& name);

}  // namespace keepstore::volumes::directory
