/// Limits of the configuration, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace keepstore::limits {

using std::chrono::minutes;

// --- store -----------------------------------------------------------------------------------------------------------
/// The trash is emptied this soon after a start (or after the interval if that is shorter), so that a daemon that is
/// restarted daily empties it at all.
inline constexpr minutes empty_trash_first_after{5};

// --- configuration ---------------------------------------------------------------------------------------------------
/// A configuration file larger than this is refused unread: real ones are some tens of KiB.
inline constexpr std::size_t config_file_bytes_max = 16 * MiB;
/// Size of the file in memory with its aliases expanded, so that a few lines cannot exhaust the host.
inline constexpr std::size_t config_expanded_bytes_max = 128 * MiB;
/// Levels of nesting; Arvados uses nine. Keeps recursive walks of the tree off the end of the stack.
inline constexpr std::size_t config_depth_max = 64;
/// A file with a secret: tokens and keys have some tens of bytes, a certificate with its chain some KiB. A larger one
/// is not what it was taken for.
inline constexpr std::size_t credential_bytes_max = 64 * KiB;
/// API.MaxKeepBlobBuffers: 64 MiB each, so this is 1 PiB; above it the product could overflow.
inline constexpr std::int64_t blob_buffers_max = std::int64_t{1} << 24;

/// The last second that a signature can end at: its expiry is written as eight hex digits (February 2106). A longer
/// BlobSigningTTL would make locators that no daemon accepts.
inline constexpr std::int64_t signature_expiry_max = 0xffff'ffff;

}  // namespace keepstore::limits
