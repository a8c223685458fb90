/// Limits of the Azure client, with their reasons; see base/limits.hpp.
#pragma once

#include "cloud/limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace keepstore::limits {

using std::chrono::minutes;
using std::chrono::seconds;

/// Blobs in a page of a listing: the maximum of Azure.
inline constexpr unsigned azure_list_blobs_max = 5000;
/// Largest body of one Put Blob since version 2019-12-12. Blocks are 64 MiB at most.
inline constexpr std::uint64_t azure_put_bytes_max = 5000ULL * MiB;
/// Blocks of one blob, and bytes of metadata of one blob, names included: more is refused before it is sent.
inline constexpr std::size_t azure_blocks_max = 50'000;
inline constexpr std::size_t azure_metadata_bytes_max = 8 * KiB;
/// An account key has 64 bytes; others are accepted within reason, for emulators.
inline constexpr std::size_t azure_key_bytes_max = 256;
/// The service refuses signatures that are older; at that difference a refusal is taken for one of the clock.
inline constexpr minutes azure_clock_skew_refused{15};
/// How long a copy inside the service may read its source, by a signature made for it.
inline constexpr minutes azure_copy_access{30};

}  // namespace keepstore::limits
