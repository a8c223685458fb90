/// A small block's file opened, read from beginning to end and closed in one go, by somebody who has no further use for
/// its bytes (the scrub): four system calls with direct I/O, where opening it for readers and reading it once takes
/// nine.
#pragma once

#include "volumes/directory/directory_core.hpp"

#include <cstdint>
#include <memory>
#include <span>

namespace keepstore::volumes::directory {

/// \returns the size of the block, which is in `into` if it fits; the bytes read if the file became shorter meanwhile.
/// errc::not_found for what is not a regular file. Leaves the page cache as it was (uncached_file). Blocks.
[[nodiscard]] result<std::uint64_t> read_whole_file(const std::shared_ptr<directory_core>& core, const md5_digest& name,
                                                    std::span<std::byte> into);

}  // namespace keepstore::volumes::directory
