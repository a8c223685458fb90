/// Writing a block to the bucket: volumes/s3/upload.hpp as one PUT, part_upload.hpp in parts: where the size
/// is not known, or transfer_pace.hpp says that it is faster.
#pragma once

#include "volumes/s3/s3_core.hpp"

#include <memory>
#include <optional>

namespace keepstore::volumes::s3 {

/// Sends nothing yet.
[[nodiscard]] result<std::unique_ptr<block_writer>> make_s3_writer(std::shared_ptr<s3_core> core, md5_digest name,
                                                                   std::optional<std::uint64_t> size);

}  // namespace keepstore::volumes::s3
