/// Reading a block of the bucket.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

/// Joins the fetch of this block, or begins one: a GET whose body is received while it is read, so that a read from
/// start to end is one request. Reads out of order become ranged GETs of the same object, and where only a part is
/// wanted the first one is. For a block that may have waypoints their request goes beside the first.
[[nodiscard]] awaitable<result<std::unique_ptr<block_reader>>> open_s3_reader(std::shared_ptr<s3_core> core,
                                                                              md5_digest name, open_hint hint,
                                                                              deadline until);

}  // namespace keepstore::volumes::s3
