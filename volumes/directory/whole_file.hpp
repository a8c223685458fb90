/// Opens, reads and closes a small block's file in one call, past the page cache, for readers of bytes that are used
/// once (the scrub): four system calls with direct I/O, instead of nine with a block_reader.
#pragma once

#include "volumes/directory/directory_core.hpp"

#include <cstdint>
#include <memory>
#include <span>

namespace keepstore::volumes::directory {

/// Reads the whole block if `into` is large enough. Leaves the page cache as it was (uncached_file). Blocks.
/// \returns the size of the block; the bytes read if the file became shorter meanwhile. errc::not_found if it is not a
/// regular file.
[[nodiscard]] result<std::uint64_t> read_whole_file(const std::shared_ptr<directory_core>& core, const md5_digest& name,
                                                    std::span<std::byte> into);

}  // namespace keepstore::volumes::directory
