/// The Directory driver's block_reader: an open file. What the page cache holds is read and compared in place
/// (preadv2 with RWF_NOWAIT), the rest on the volume's threads.
#pragma once

#include "base/blocking_pool.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/volume.hpp"

#include <memory>

namespace keepstore::volumes::directory {

/// `file` is a regular file of `size` bytes, open for reading.
[[nodiscard]] std::unique_ptr<block_reader> make_directory_reader(std::shared_ptr<directory_core> core,
                                                                  std::shared_ptr<blocking_pool> pool, shared_fd file,
                                                                  std::uint64_t size);

/// A descriptor of what has the block's name, or -1 with errno; `flags` are added to those for reading. Blocks.
[[nodiscard]] int open_block_file(directory_core& core, const md5_digest& name, int flags = 0);

/// Opens a block and looks at it. errc::not_found for what is not a regular file, errc::unavailable when the process
/// has no descriptors left. Blocks.
struct opened_block {
    shared_fd fd;
    std::uint64_t size = 0;
};
[[nodiscard]] result<opened_block> open_block(directory_core& core, const md5_digest& name);

/// The same from the kernel's caches only; nullopt when that is not possible.
[[nodiscard]] std::optional<result<opened_block>> try_open_block(directory_core& core, const md5_digest& name);

}  // namespace keepstore::volumes::directory
