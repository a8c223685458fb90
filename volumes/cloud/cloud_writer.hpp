/// Writes a block to the bucket: as one PUT (volumes/cloud/upload.hpp), or in parts (part_upload.hpp) if the size is
/// not known or multipart_policy.hpp expects that to be faster.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <memory>
#include <optional>

namespace keepstore::volumes::s3 {

/// Sends nothing yet.
[[nodiscard]] result<std::unique_ptr<block_writer>> make_s3_writer(std::shared_ptr<s3_core> core, md5_digest name,
                                                                   std::optional<std::uint64_t> size);

}  // namespace keepstore::volumes::s3
