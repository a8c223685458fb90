/// Verifies that a stored copy is what its name says: concurrently by its waypoints, or serially where it has none.
/// For HEAD, the scrub, pulls, and to decide when waypoints and bytes disagree.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "base/md5_digest.hpp"
#include "digest/engine.hpp"
#include "digest/waypoints.hpp"
#include "pool/chunk_source.hpp"
#include "volumes/volume.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace keepstore::store {

using digest::has_waypoints;
using digest::waypoints_attribute;

/// Decodes waypoints of a block. \returns nothing if they are damaged, not of this block and length, or their segments
/// are larger than limits::segment_bytes_max.
[[nodiscard]] std::optional<digest::waypoints> usable_waypoints(std::span<const std::byte> encoded,
                                                                std::uint64_t length, const md5_digest& name);

/// Reads the waypoints stored with a copy; nothing if there are none that are usable for its length.
/// `supported`, if given, is set to false where the storage keeps no attributes.
[[nodiscard]] awaitable<std::optional<digest::waypoints>> load_waypoints(volumes::block_reader& copy,
                                                                         const md5_digest& name, deadline until,
                                                                         bool* supported = nullptr);

/// Stores waypoints with the copy. \returns whether that worked; without them a read costs more, and no data.
[[nodiscard]] awaitable<bool> store_waypoints(volumes::block_reader& copy, const md5_digest& name,
                                              const digest::waypoints& points, deadline until);

/// Result of hashing a copy from end to end.
struct serial_pass {
    md5_digest digest;
    std::vector<digest::md5_state> states;  ///< At every waypoints::stride_bytes_min.
};

/// Hashes the whole copy, a few chunks at a time; one is enough.
/// \returns errc::cancelled; timeout, io_error, unavailable of the volume; timeout and unavailable of `memory`;
/// checksum_mismatch if the copy is shorter than its size.
[[nodiscard]] awaitable<result<serial_pass>> hash_serially(pool::chunk_source& memory, digest::engine& engine,
                                                           volumes::block_reader& copy, deadline until);

/// The waypoints of a copy that this pass found to be good; nothing for small blocks.
[[nodiscard]] std::optional<digest::waypoints> fresh_waypoints(const volumes::block_reader& copy,
                                                               const serial_pass& pass);

struct copy_report {
    enum class outcome {
        good,
        bad,         ///< Not what its name says.
        unreadable,  ///< Cannot be read, or not in time.
        cancelled,   ///< Nothing is known: the caller was cancelled.
    };
    outcome result = outcome::good;
    std::uint64_t offset = 0;   ///< Where the first bad or unreadable segment begins, as far as known.
    error why{errc::io_error};  ///< Unless good.
    /// Of a good copy whose stored waypoints are missing or wrong: the right ones, for store_waypoints().
    std::optional<digest::waypoints> missing_waypoints;
    bool attributes_supported = true;
    bool false_alarm = false;  ///< Stored waypoints disagreed with a good copy.
};

/// Verifies a whole copy. `units` is how many parts of it are read and hashed concurrently; each takes up to
/// limits::segment_bytes_max of `memory`, if there is as much: one chunk is enough. Awaited in place.
[[nodiscard]] awaitable<copy_report> verify_copy(pool::chunk_source& memory, digest::engine& engine,
                                                 volumes::block_reader& copy, const md5_digest& name, std::size_t units,
                                                 deadline until);

}  // namespace keepstore::store
