/// Writes a block to a cloud service: as one PUT (volumes/cloud/upload.hpp), or in parts (part_upload.hpp) if the size
/// is not known or multipart_policy.hpp expects that to be faster.
#pragma once

#include "volumes/cloud/volume_core.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <optional>

namespace keepstore::volumes::cloud {

/// Sends nothing yet.
[[nodiscard]] result<std::unique_ptr<block_writer>> make_cloud_writer(std::shared_ptr<volume_core> core,
                                                                      md5_digest name,
                                                                      std::optional<std::uint64_t> size);

}  // namespace keepstore::volumes::cloud
