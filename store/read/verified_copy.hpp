/// Reads a stored copy that has waypoints, in order, each byte proven before it is returned. Segments are read and
/// verified ahead, concurrently, as far as memory allows. Used by one coroutine at a time.
///
///   ahead_ holds consecutive segments. The front one contains position_, or ends there; load_next_ is where the
///   segment after the last one begins. proof_ is the state before the front one.
///   low_memory_: the reader was slow. ahead_ has at most one segment then, and holds no bytes: they are read again in
///   fine pieces.
#pragma once

#include "base/byte_range.hpp"
#include "store/context.hpp"
#include "store/verify/segment.hpp"

#include <deque>
#include <memory>
#include <span>

namespace keepstore::store {

class verified_copy {
  public:
    /// `wanted` are the bytes to return, `start` the state proven before them (or believed: the waypoint before a
    /// range). References stay the caller's.
    verified_copy(store_context&, volumes::block_reader& copy, const digest::waypoints& points, const md5_digest& name,
                  byte_range wanted, const proven_state& start, deadline until);
    ~verified_copy();
    verified_copy(const verified_copy&) = delete;
    verified_copy& operator=(const verified_copy&) = delete;

    /// Of the whole copy.
    [[nodiscard]] std::uint64_t size() const noexcept { return copy_.size(); }
    /// Whether the copy is a stream, which cannot be read again.
    [[nodiscard]] bool streams() const noexcept { return copy_.streams(); }

    /// Verifies the first limits::verified_first_bytes, so that damage there is found before anything is sent.
    [[nodiscard]] awaitable<result<void>> verify_first();

    /// The next proven bytes, from position(); empty at the end. After an error position() and proof() stay valid, and
    /// it cannot be read on: checksum_mismatch (bytes and waypoints disagree from suspect() on), errors of the
    /// volume, cancelled.
    [[nodiscard]] awaitable<result<const_slice>> next();
    void advance(std::size_t bytes) noexcept { position_ += bytes; }
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

    /// Gives all memory back, since the reader is slow. What follows is verified without being held, until the reader
    /// has kept up for a whole segment.
    void release_buffers() noexcept;
    /// Whether the next piece should be offered to the reader only for a moment: it is read again if not taken.
    [[nodiscard]] bool low_memory() const noexcept { return low_memory_; }
    /// Counts the reader as slow in this segment: it was not ready for too long.
    void reader_was_slow() noexcept { slow_in_segment_ = true; }

    /// The state proven before position(), rounded down to a boundary.
    [[nodiscard]] proven_state proof() const;
    /// Begin of the segment in which bytes and waypoints disagree.
    [[nodiscard]] std::uint64_t suspect() const noexcept { return suspect_; }

  private:
    enum class from { memory, anywhere };
    struct entry {
        segment part;
        std::size_t taken = 0;  // From the read window, in bytes.
    };

    [[nodiscard]] std::size_t segments_ahead() const noexcept;
    [[nodiscard]] bool first_alone() const noexcept;
    [[nodiscard]] awaitable<result<void>> load_while_first_is_hashed();
    [[nodiscard]] awaitable<result<void>> load_more();
    /// Adds the next segment, unless there is no room for it or, with from::memory, reading it would wait.
    [[nodiscard]] awaitable<result<void>> load_one(from where = from::anywhere);
    [[nodiscard]] awaitable<result<bool>> load(entry&, std::span<const mutable_slice> chunks, from where);
    [[nodiscard]] awaitable<result<void>> load_through_scratch(entry&);
    [[nodiscard]] awaitable<result<void>> verify(entry&);
    void drop(entry&) noexcept;
    void pop_front();

    store_context& store_;
    volumes::block_reader& copy_;
    const digest::waypoints& points_;
    const md5_digest& name_;
    const byte_range wanted_;
    const deadline until_;

    std::deque<entry> ahead_;
    proven_state load_next_;
    proven_state proof_;
    std::uint64_t position_;
    std::uint64_t suspect_ = 0;
    std::size_t batch_ = 1;  // Segments loaded at once, for a stream.
    bool low_memory_ = false;
    bool slow_in_segment_ = false;
};

}  // namespace keepstore::store
