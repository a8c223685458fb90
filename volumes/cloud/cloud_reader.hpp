/// Reading a block of a cloud service.
#pragma once

#include "volumes/cloud/volume_core.hpp"
#include "volumes/volume.hpp"

#include <memory>

namespace keepstore::volumes::cloud {

/// Joins the download of this block, or starts one: a GET whose body is received while it is read, so that a read from
/// start to end is one request. Reads out of order become ranged GETs of the same object, as does the first one if only
/// a part is wanted. For a block that may have waypoints its metadata are requested concurrently with the block.
[[nodiscard]] awaitable<result<std::unique_ptr<block_reader>>> open_cloud_reader(std::shared_ptr<volume_core> core,
                                                                                 md5_digest name, open_hint hint,
                                                                                 deadline until);

}  // namespace keepstore::volumes::cloud
