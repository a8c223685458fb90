/// The bytes of a stored copy that has waypoints, in order, each proven before it is handed out. Segments are read and
/// verified ahead, side by side, as far as memory allows. Used by one coroutine at a time.
#pragma once

#include "base/byte_range.hpp"
#include "store/context.hpp"
#include "store/verify/segment.hpp"

#include <deque>
#include <memory>

namespace keepstore::store {

class verified_copy {
  public:
    /// `wanted` is what will be handed out, `start` what is proven of the bytes before (or believed: the waypoint
    /// before a range). References stay the caller's.
    verified_copy(store_context&, volumes::block_reader& copy, const digest::waypoints& points, const md5_digest& name,
                  byte_range wanted, const proven_state& start, deadline until);
    ~verified_copy();
    verified_copy(const verified_copy&) = delete;
    verified_copy& operator=(const verified_copy&) = delete;

    /// Of the whole copy.
    [[nodiscard]] std::uint64_t size() const noexcept { return copy_.size(); }
    /// Whether the copy is a stream, which cannot be read again.
    [[nodiscard]] bool streams() const noexcept { return copy_.streams(); }

    /// Verifies as much as one look ahead covers, so that what is wrong there is known before anything is sent.
    [[nodiscard]] awaitable<result<void>> look_ahead();

    /// The next proven bytes, from position(); empty at the end. After an error position() and proof() still hold, and
    /// nothing more can be had: checksum_mismatch (bytes and waypoints disagree from suspect() on), errors of the
    /// volume, cancelled.
    [[nodiscard]] awaitable<result<const_slice>> next();
    void advance(std::size_t bytes) noexcept { position_ += bytes; }
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

    /// The reader is slow: all memory is given back. What comes next is verified without being held, until the reader
    /// has kept up again for a whole segment.
    void shed() noexcept;
    /// Whether the next piece is best offered when the reader is ready, and taken back at once.
    [[nodiscard]] bool sparing() const noexcept { return sparing_; }
    /// The reader was waited for so long that it counts as slow.
    void reader_was_slow() noexcept { slow_in_segment_ = true; }

    /// What is proven of the bytes before position(), rounded down.
    [[nodiscard]] proven_state proof() const;
    /// Where the segment begins that bytes and waypoints disagree about.
    [[nodiscard]] std::uint64_t suspect() const noexcept { return suspect_; }

  private:
    struct entry {
        segment part;
        std::size_t taken = 0;  // Of the window.
    };

    [[nodiscard]] std::size_t segments_ahead() const noexcept;
    [[nodiscard]] awaitable<result<void>> load_more();
    [[nodiscard]] awaitable<result<void>> load_one();
    [[nodiscard]] awaitable<result<void>> verify(entry&);
    void drop(entry&) noexcept;
    void pop_front();

    store_context& store_;
    volumes::block_reader& copy_;
    const digest::waypoints& points_;
    const md5_digest& name_;
    const byte_range wanted_;
    const deadline until_;

    std::deque<entry> ahead_;  // In order; the front one holds position_.
    proven_state load_next_;   // Where the next segment to be loaded begins.
    proven_state proof_;       // Of everything before ahead_.front().
    std::uint64_t position_;
    std::uint64_t suspect_ = 0;
    std::size_t batch_ = 1;  // Of a stream.
    bool sparing_ = false;
    bool slow_in_segment_ = false;
};

}  // namespace keepstore::store
