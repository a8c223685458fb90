/// Verifies stored copies with full digest lanes, for the scrub: reads as much as the digest engine has lanes for, then
/// hashes all of it at once. That costs half the processor time of check_copy, which serves requests and begins to hash
/// as soon as anything is read: no client waits for a scrub. Either the segments between a large copy's waypoints fill
/// the lanes, or many small copies do (docs/performance.md: 1,839 MB/s of 64 KiB blocks, against 923 one by one).
///
/// Memory: a call takes up to limits::scrub_lanes chunks, one after the other, while it holds those before: it needs a
/// lease of as many.
///
/// All are awaited in place.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "digest/engine.hpp"
#include "digest/waypoints.hpp"
#include "pool/chunk_source.hpp"
#include "store/limits.hpp"
#include "store/scrub/scrub_reader.hpp"
#include "volumes/volume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace keepstore::store {

struct verify_tools {
    pool::chunk_source& memory;
    digest::engine& engine;
};

/// \returns whether every segment of the copy agrees with the waypoints: then it is good. If not, its bytes or its
/// waypoints are wrong; check_copy tells which. errc::cancelled; checksum_mismatch if the copy is shorter than its
/// size; errors of the volume.
[[nodiscard]] awaitable<result<bool>> verify_segments(verify_tools tools, volumes::block_reader& copy,
                                                      const digest::waypoints& points, const md5_digest& name,
                                                      deadline until);

/// Small copies, to be verified together. Only for volumes with can_read_whole() and blocks without waypoints.
class verify_batch {
  public:
    /// Adds a copy as it was listed; has_waypoints() is false for its size. \returns false if the batch is full.
    [[nodiscard]] bool add(const volumes::block_info& copy);

    [[nodiscard]] std::span<const volumes::block_info> copies() const noexcept { return copies_; }
    [[nodiscard]] bool empty() const noexcept { return copies_.empty(); }

    /// Reads and hashes all of them.
    /// \returns for each copy, in the order of adding, whether its MD5 is its name. If not, nothing is known of it: it
    /// may be bad, unreadable, changed since it was listed, or gone. errc::cancelled.
    [[nodiscard]] awaitable<result<std::vector<bool>>> verify(verify_tools tools, volumes::volume& volume,
                                                              const scrub_reader::rules& rules) const;

  private:
    // Where a copy is read to: within one chunk, and in whole pages, since direct reads are.
    struct location {
        std::size_t chunk;
        std::size_t offset;
    };
    // Consecutive copies that are read by one call.
    struct group {
        std::size_t first;
        std::size_t count = 0;
        std::uint64_t bytes = 0;
    };
    struct group_read;
    struct read_copy;

    [[nodiscard]] static awaitable<void> read(volumes::volume& volume, const scrub_reader::rules& rules,
                                              group_read& group);
    [[nodiscard]] std::vector<group_read> plan_reads(const std::vector<mutable_slice>& chunks) const;
    [[nodiscard]] std::vector<read_copy> copies_of_full_size(const std::vector<group_read>& reads,
                                                             scrub_record& record) const;

    std::vector<volumes::block_info> copies_;
    std::vector<location> locations_;  // Of each copy.
    std::vector<group> groups_;
    std::size_t chunks_ = 0;
    std::size_t free_ = 0;  // Bytes in the last chunk.
};

}  // namespace keepstore::store
