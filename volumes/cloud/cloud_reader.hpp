/// Reading a block of the bucket.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

/// Joins the download of this block, or starts one: a GET whose body is received while it is read, so that a read from
/// start to end is one request. Reads out of order become ranged GETs of the same object, as does the first one if only
/// a part is wanted. For a block that may have waypoints its marker is requested concurrently with the block.
[[nodiscard]] awaitable<result<std::unique_ptr<block_reader>>> open_s3_reader(std::shared_ptr<s3_core> core,
                                                                              md5_digest name, open_hint hint,
                                                                              deadline until);

}  // namespace keepstore::volumes::s3
