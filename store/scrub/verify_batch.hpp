/// Small copies checked side by side, for the scrub: as many are read as the digest engine has lanes for, then all of
/// them are hashed at once. One by one each would pay for its own trips between threads, and for a lane that works
/// alone.
///
/// Only for volumes that read blocks whole (volume::can_read_whole), and blocks without waypoints.
#pragma once

#include "base/async.hpp"
#include "base/limits.hpp"
#include "digest/engine.hpp"
#include "pool/buffer_pool.hpp"
#include "store/scrub/scrub_reader.hpp"
#include "volumes/volume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace keepstore::store {

class copy_batch {
  public:
    /// Adds a copy as it was listed; has_waypoints() is false for its size. \returns false if the batch is full.
    [[nodiscard]] bool add(const volumes::block_info& copy);

    [[nodiscard]] std::span<const volumes::block_info> copies() const noexcept { return copies_; }

    /// Reads and hashes all of them. Takes up to limits::scrub_lanes chunks of the pool, one after the other, while it
    /// holds those before; the pool must have as many for each batch that is checked at the same time. Awaited in
    /// place.
    /// \returns for each copy, in the order of adding, whether it is certainly what its name says. If not, nothing is
    /// known of it: it may be bad, unreadable, changed since it was listed, or gone. errc::cancelled.
    [[nodiscard]] awaitable<result<std::vector<bool>>> check(pool::buffer_pool& pool, digest::engine& engine,
                                                             volumes::volume& volume,
                                                             const scrub_reader::rules& rules) const;

  private:
    // Where a copy is read to. Within one chunk, and in whole pages, since direct reads are.
    struct place {
        std::size_t chunk;
        std::size_t offset;
    };
    // Consecutive copies that are read by one call.
    struct group {
        std::size_t first;
        std::size_t count = 0;
        std::uint64_t bytes = 0;
    };
    struct reading;

    [[nodiscard]] static awaitable<void> read(volumes::volume& volume, const scrub_reader::rules& rules, reading& r);

    std::vector<volumes::block_info> copies_;
    std::vector<place> places_;  // Of each copy.
    std::vector<group> groups_;
    std::size_t chunks_ = 0;
    std::size_t free_ = 0;  // In the last chunk.
};

}  // namespace keepstore::store
