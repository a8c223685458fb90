/// Reads a stored block to find out what it is. The buffer is on the frame: that needs no memory of the volume.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/md5_digest.hpp"
#include "volumes/cloud/protocol.hpp"

#include <span>

namespace keepstore::volumes::cloud {

class volume_core;

enum class stored_copy {
    equal,    ///< It has the bytes that are being written.
    corrupt,  ///< It is not what its name says.
    other,    ///< It is another block with the same MD5.
};

/// Reads the body to its end. `with` stays the caller's; awaited in place.
[[nodiscard]] awaitable<result<stored_copy>> compare_body(volume_core& core, protocol::object_download body,
                                                          md5_digest name, std::span<const const_slice> with);

/// Reads the body to its end. \returns whether it is what its name says.
[[nodiscard]] awaitable<result<bool>> check_body(volume_core& core, protocol::object_download body, md5_digest name);

}  // namespace keepstore::volumes::cloud
