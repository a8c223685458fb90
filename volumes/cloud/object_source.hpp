/// Where a shared download gets a block from: the requests of one service (volumes/s3/s3_source.cpp,
/// volumes/azure/azure_source.cpp).
#pragma once

#include "base/async.hpp"
#include "base/md5_digest.hpp"
#include "volumes/cloud/protocol.hpp"

#include <cstdint>
#include <optional>

namespace keepstore::volumes::cloud {

/// What to download: a block as it is, or a part of an object that was opened before.
struct download_target {
    md5_digest name;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length = {};          ///< Absent: to the end.
    std::optional<protocol::object_info> opened = {};  ///< The object; absent: the current one.
    /// A block that a race hides is to be found: S3, trashed by mistake; Azure, a write in progress.
    bool fix_race = true;
    std::uint64_t size = 0;  ///< Of the object, as far as it is known.

    /// Whether it is, by the expected size, large enough for ranges.
    [[nodiscard]] bool is_large() const noexcept;
};

/// One block at the service. Owned by its shared download and the readers of its metadata. Coroutines are awaited in
/// place; those that have no deadline are cancelled with the download, since each reader has its own.
class object_source {
  public:
    virtual ~object_source() = default;

    /// Sends a GET of the target, or of `range` in its place, and returns when its head is there. On a loop of the
    /// volume; once, and again if the range was at fault. errc::not_found.
    [[nodiscard]] virtual awaitable<result<protocol::object_download>> open(
        std::optional<protocol::byte_range> range) = 0;
    /// Sends a GET of a further range of the object that open() found, which may have been trashed or written again
    /// meanwhile: then of the object with its name, if that is as large. Several may run concurrently, on any loops of
    /// the volume.
    [[nodiscard]] virtual awaitable<result<protocol::object_download>> open_range(protocol::byte_range range) = 0;

    /// Requests the metadata, where that is a request of its own, and does not wait for it. Any thread.
    virtual void prefetch_metadata() {}
    /// Returns the block's metadata; after open() has found the object. errc::not_found if there is none. Any thread.
    [[nodiscard]] virtual awaitable<result<protocol::name_values>> metadata(deadline until) = 0;
};

}  // namespace keepstore::volumes::cloud
