/// What the metadata of a blob say about its block. The layout is the Go daemon's (docs/interface.md 4.8):
///
///     abcdef...                  a block: a blob with its 32 hex digits as name; other blobs are left alone
///       Last-Modified            its mtime; the service renews it with each change of content or metadata
///       expires_at: 1700000000   it is in the trash until then; if this is empty or absent it is not
///       touch: 1700000000        when it was last touched
///       keepstore_waypoints: x   its waypoints (docs/waypoints.md); a trash by the Go daemon drops them
///
/// A PUT replaces blob and metadata at once, so it takes a block out of the trash. A blob without content (other than
/// the block without content) is one that another program is just writing, as long as it is young.
///
/// Pure functions.
#pragma once

#include "base/md5_digest.hpp"
#include "volumes/cloud/protocol.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace keepstore::volumes::azure {

namespace protocol = cloud::protocol;
using cloud::error_kind;
using cloud::kind_of;
using cloud::sys_seconds;

[[nodiscard]] bool is_trashed(const protocol::name_values& metadata);
/// Returns the second from which on it may be deleted; nullopt if it is not in the trash, or the value is no number.
[[nodiscard]] std::optional<std::int64_t> deletion_second_of(const protocol::name_values& metadata);

/// Whether a blob of this size and age is one that another program is just writing.
[[nodiscard]] bool is_being_written(const md5_digest& name, std::uint64_t size, std::chrono::nanoseconds age,
                                    std::chrono::nanoseconds write_race_interval);

// The metadata after a change; all other entries stay.

[[nodiscard]] protocol::name_values trashed(protocol::name_values metadata, std::int64_t deletion_second);
/// Not in the trash, and touched at this second.
[[nodiscard]] protocol::name_values touched(protocol::name_values metadata, std::int64_t second);

}  // namespace keepstore::volumes::azure
