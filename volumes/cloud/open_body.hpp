/// Opens the body of a block for a download: as one GET or in ranges, from the trash if it was trashed while it is
/// being read, and after a race of PUT or TOUCH with trash brought back first.
#pragma once

#include "base/async.hpp"
#include "base/md5_digest.hpp"
#include "volumes/cloud/block_body.hpp"
#include "volumes/cloud/multipart_policy.hpp"
#include "volumes/s3/shared_marker.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace keepstore::volumes::s3 {

/// What to download: a block as it is, or a part of an object that was opened before.
struct download_target {
    md5_digest name;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length = {};  ///< Absent: to the end.
    std::string validator = {};                ///< object_info::validator(); empty: the current object.
    bool fix_race = true;                      ///< If it is not there (s3_core::fix_race).
    std::uint64_t size = 0;                    ///< Of the object, as far as it is known.

    /// Whether it is, by the expected size, large enough for ranges.
    [[nodiscard]] bool is_large() const noexcept;
};

/// Whether a GET of a range failed because of the range: the expected size was wrong, or the service does not know
/// ranges. The whole block is to be requested then.
[[nodiscard]] bool range_is_at_fault(const error& why);

/// Sends the first GET and returns when its head is there. Awaited in place, on a loop of the volume; has no deadline,
/// since each reader has its own.
/// \param transfer  of a large block: says whether it is to come in ranges, and learns if it cannot.
/// \returns errc::not_found; else errors as of s3::client::get.
[[nodiscard]] awaitable<result<std::unique_ptr<block_body>>> open_body(
    const std::shared_ptr<s3_core>& core, const download_target& what, shared_marker& marker,
    std::optional<multipart_policy::transfer>& transfer);

}  // namespace keepstore::volumes::s3
