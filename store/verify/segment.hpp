/// A part of a stored copy that is verified as one: it must lead from the known chaining state before it to the known
/// one after it, or to the block's name where it ends the block. Used by one coroutine at a time.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "digest/engine.hpp"
#include "digest/waypoints.hpp"
#include "pool/chunk_source.hpp"
#include "volumes/volume.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace keepstore::store {

/// The bytes before `offset` are right, and lead to `state`. The offset is a multiple of segment::fine_bytes.
struct proven_state {
    std::uint64_t offset = 0;
    digest::md5_state state = {};
};

class segment {
  public:
    /// Distance of the states that are kept of a segment, so that a part of it can be read and verified again after its
    /// memory was given back.
    static constexpr std::size_t fine_bytes = digest::waypoints::stride_bytes_min;

    /// From `start` to the next waypoint that is not before `start.offset` + a chunk, or to `end` rounded up to a
    /// waypoint, whichever comes first.
    segment(digest::engine& engine, const digest::waypoints& points, const proven_state& start, std::uint64_t end);

    [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(end_ - begin_); }

    [[nodiscard]] std::size_t chunk_count() const noexcept;

    /// Hashes it while it is being read, by itself, instead of batching it with the next ones. Before load().
    void expect_alone() noexcept;
    /// Whether it is loaded, and not hashed to its end.
    [[nodiscard]] bool hashing() const noexcept { return hash_ && hash_->busy(); }

    /// Reads all of it into `chunks` (chunk_count() of them), keeps them, and hands them to the digest engine.
    /// errc::cancelled; checksum_mismatch (the copy ends early); errors of the volume.
    [[nodiscard]] awaitable<result<void>> load(std::span<const mutable_slice> chunks, volumes::block_reader& copy,
                                               deadline until);
    /// The same if all of it is in the page cache. \returns false if it is not.
    [[nodiscard]] awaitable<result<bool>> load_cached(std::span<const mutable_slice> chunks,
                                                      volumes::block_reader& copy);
    /// As load() without keeping anything: each chunk goes back as soon as it is hashed. Waits for one chunk at a time,
    /// and holds only chunks that are hashed before that wait ends. errc::timeout, unavailable: no memory.
    [[nodiscard]] awaitable<result<void>> load_through(pool::chunk_source& memory, volumes::block_reader& copy,
                                                       deadline until);

    /// Waits until it is hashed. \returns whether it leads to the expected state or name.
    [[nodiscard]] awaitable<result<bool>> verify(const md5_digest& name);
    [[nodiscard]] bool verified() const noexcept { return verified_; }

    // --- after verify() returned true ---------------------------------------------------------------------------
    /// Whether the bytes are in memory.
    [[nodiscard]] bool held() const noexcept { return !pieces_.empty(); }
    /// The bytes from `offset` to the end of its piece. Only while held.
    [[nodiscard]] const_slice piece_at(std::uint64_t offset) const;
    void drop_bytes() noexcept { pieces_.clear(); }
    /// Reads the fine piece that contains `offset` again, and verifies it. \returns its bytes from `offset` on.
    /// errc::checksum_mismatch when it has changed.
    [[nodiscard]] awaitable<result<const_slice>> reread(digest::engine& engine, pool::chunk_source& memory,
                                                        volumes::block_reader& copy, std::uint64_t offset,
                                                        deadline until) const;
    /// The state proven by this segment at `offset`, rounded down to a fine boundary.
    [[nodiscard]] proven_state proof_at(std::uint64_t offset) const;
    /// The state proven at its end; only if it does not end the block.
    [[nodiscard]] proven_state proof_at_end() const { return {end_, *to_}; }

  private:
    [[nodiscard]] awaitable<result<void>> read_and_hash(std::uint64_t offset, std::span<const mutable_slice> pieces,
                                                        volumes::block_reader& copy, deadline until);
    [[nodiscard]] awaitable<result<void>> hash(std::span<const mutable_slice> pieces);
    /// The parts of `chunks` that the segment fills.
    [[nodiscard]] std::vector<mutable_slice> cut(std::span<const mutable_slice> chunks) const;
    void keep(std::span<const mutable_slice> pieces);

    const std::uint64_t begin_;
    std::uint64_t end_ = 0;
    std::optional<digest::md5_state> to_;     // None: it ends the block.
    std::vector<proven_state> inner_;         // Waypoints inside it; checked, so that wrong ones get replaced.
    md5_digest name_;                         // Set by verify().
    std::vector<digest::md5_state> fine_;     // [k] is the state at begin_ + k * fine_bytes; complete once verified.
    std::vector<const_slice> pieces_;         // Of a chunk each but the last; all of them or none.
    std::optional<digest::md5_stream> hash_;  // Until verified.
    bool alone_ = false;
    bool verified_ = false;
};

}  // namespace keepstore::store
