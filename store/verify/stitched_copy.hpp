/// Reconstructs a block from copies that are damaged in different places: each segment comes from a copy in which it is
/// right. That is decided by waypoints, of any copy that has some, and only for a run of segments without a gap, so
/// that the planned bytes lead from a known state to a known one, or to the block's name (docs/waypoints.md).
///
/// Reads like a stored copy and promises no more than one: files may change, so the reader verifies what it gets. Used
/// by one coroutine at a time; several reads may be under way.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "digest/engine.hpp"
#include "digest/waypoints.hpp"
#include "pool/chunk_source.hpp"
#include "store/limits.hpp"
#include "store/verify/segment.hpp"
#include "volumes/volume.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace keepstore::store {

class stitched_copy final : public volumes::block_reader {
  public:
    using copy_list = std::vector<std::unique_ptr<volumes::block_reader>>;

    /// Collects the waypoints stored with any of the copies, each once, for a block of one of these lengths: a copy may
    /// have been cut off and still have the waypoints of the whole. At most limits::stitched_waypoints_max; memory: 1
    /// KiB each.
    [[nodiscard]] static awaitable<result<std::vector<digest::waypoints>>> gather_waypoints(
        const copy_list& copies, const md5_digest& name, std::span<const std::uint64_t> lengths, deadline until);

    /// References stay the caller's and outlive it.
    stitched_copy(const copy_list& copies, const digest::waypoints& points);

    struct tools {
        pool::chunk_source& memory;  ///< Waited for one chunk at a time, held while they are hashed.
        digest::engine& engine;
        std::size_t units;  ///< Segments that are read and hashed concurrently.
    };

    /// Finds a copy for each segment from `start` (where the state is known, or believed) to the one that `end` is in.
    /// Reads each copy at most once, and stops after the first segments that no copy has right.
    /// \returns whether all were found. errc::cancelled; a copy that cannot be read gives no segment.
    [[nodiscard]] awaitable<result<bool>> plan(const tools&, const md5_digest& name, const proven_state& start,
                                               std::uint64_t end, deadline until);

    // --- block_reader, for the planned segments -------------------------------------------------------------------
    [[nodiscard]] std::uint64_t size() const noexcept override { return points_.length(); }
    [[nodiscard]] bool streams() const noexcept override;
    [[nodiscard]] awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into,
                                                         deadline until) override;
    [[nodiscard]] std::optional<std::size_t> try_read_at(std::uint64_t offset, std::span<std::byte> into) override;
    [[nodiscard]] awaitable<result<const_slice>> read_piece(std::uint64_t offset, std::size_t want,
                                                            deadline until) override;
    [[nodiscard]] awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline until) override;
    /// errc::unsupported: there is no such file.
    [[nodiscard]] awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline until) override;
    [[nodiscard]] awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value,
                                                          deadline until) override;

  private:
    /// Consecutive bytes of one copy.
    struct run {
        std::size_t copy;
        std::size_t length;
    };

    [[nodiscard]] awaitable<result<void>> take_from(std::size_t copy, std::vector<proven_state>& wanted, const tools&,
                                                    const md5_digest& name, deadline until);
    [[nodiscard]] run run_at(std::uint64_t offset, std::size_t length_max) const;

    const copy_list& copies_;
    const digest::waypoints& points_;
    std::vector<std::size_t> source_;  // [i] is the copy that segment i is read from.
    std::vector<bool> silent_;         // [i]: copy i did not respond; it is not tried again.
};

}  // namespace keepstore::store
