/// Opens the body of a block for a download: as one GET, or in ranges if multipart_policy.hpp expects that to be
/// faster.
#pragma once

#include "base/async.hpp"
#include "volumes/cloud/block_body.hpp"
#include "volumes/cloud/multipart_policy.hpp"
#include "volumes/cloud/object_source.hpp"

#include <memory>
#include <optional>

namespace keepstore::volumes::cloud {

/// Whether a GET of a range failed because of the range: the expected size was wrong, or the service does not know
/// ranges. The whole block is to be requested then.
[[nodiscard]] bool range_is_at_fault(const error& why);

/// Sends the first GET and returns when its head is there. Awaited in place, on a loop of the volume; has no deadline,
/// since each reader has its own.
/// \param transfer  of a large block: says whether it is to come in ranges, and learns if it cannot.
/// \returns errc::not_found; else errors as of a GET.
[[nodiscard]] awaitable<result<std::unique_ptr<block_body>>> open_body(
    const std::shared_ptr<volume_core>& core, const download_target& what, const std::shared_ptr<object_source>& source,
    std::optional<multipart_policy::transfer>& transfer);

}  // namespace keepstore::volumes::cloud
