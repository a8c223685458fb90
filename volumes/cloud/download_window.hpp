/// The pieces of a block that a shared download holds, and where its readers are: which bytes a reader can have, which
/// are wanted next, and which may be dropped.
///
///     dropped │ pieces, without gaps │ not received yet
///             ▲ first()              ▲ next()          ▲ end()
///
/// Pieces are appended at next() and dropped from the front only, and never one that a read under way is about to take.
/// Not synchronised: its owner guards it (volumes/cloud/shared_download.hpp).
#pragma once

#include "base/buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {

class download_window {
  public:
    explicit download_window(std::uint64_t begin) : begin_(begin), next_(begin) {}

    struct piece {
        const_slice bytes;            ///< From the wanted offset on; not empty unless `outside_window`.
        bool outside_window = false;  ///< This download will not deliver these bytes.
    };

    /// Adds a reader at the beginning. \returns its number.
    unsigned join();
    void leave(unsigned reader) { readers_.erase(reader); }
    [[nodiscard]] std::size_t readers() const noexcept { return readers_.size(); }
    /// All bytes before it were received.
    [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
    /// Bytes from next() on, once the size is known.
    [[nodiscard]] std::uint64_t remaining() const noexcept { return end_.value_or(next_) - next_; }
    /// Whether nothing was dropped yet, so that a reader can join.
    [[nodiscard]] bool holds_beginning() const noexcept { return first() == begin_; }

    /// The size is known: there are this many bytes from next() on.
    void set_remaining(std::uint64_t bytes) { end_ = next_ + bytes; }
    void append(const_slice bytes);
    /// Takes what all offsets before `upto` have out of the window, but for what reads under way need. To be destroyed
    /// without the owner's mutex.
    [[nodiscard]] std::vector<const_slice> drop_before(std::uint64_t upto);
    /// Takes everything.
    [[nodiscard]] std::vector<const_slice> drop_all();
    [[nodiscard]] bool empty() const noexcept { return pieces_.empty(); }

    /// At most `want` bytes at `offset`, and moves the reader there. nullopt: they are still to come.
    [[nodiscard]] std::optional<piece> look(unsigned reader, std::uint64_t offset, std::size_t want);
    /// A read of at most `want` bytes that may wait for them.
    void begin_read(std::uint64_t offset, std::size_t want) { reading_.emplace(offset, want); }
    void end_read(std::uint64_t offset, std::size_t want) { reading_.erase(reading_.find({offset, want})); }

    /// Whether a read is under way.
    [[nodiscard]] bool is_read() const noexcept { return !reading_.empty(); }

    /// The positions of the readers.
    [[nodiscard]] std::uint64_t fastest() const;
    [[nodiscard]] std::uint64_t slowest() const;
    /// Whether a read waits for bytes from next() on.
    [[nodiscard]] bool awaited() const { return !reading_.empty() && reading_.rbegin()->first >= next_; }
    /// How many bytes from next() on the first of these reads can take; 0 if there is none.
    [[nodiscard]] std::uint64_t awaited_bytes() const {
        const auto first = reading_.lower_bound({next_, 0});
        return first == reading_.end() ? 0 : first->first + first->second - next_;
    }
    /// Whether more is to be received, looking so far ahead of the fastest reader.
    [[nodiscard]] bool wanted(std::size_t ahead) const { return awaited() || next_ < fastest() + ahead; }
    /// Whether a read under way keeps the first piece from being dropped.
    [[nodiscard]] bool front_is_being_read() const;

  private:
    struct kept {
        std::uint64_t offset;
        const_slice bytes;
        [[nodiscard]] std::uint64_t end() const noexcept { return offset + bytes.size(); }
    };

    [[nodiscard]] std::uint64_t first() const noexcept { return pieces_.empty() ? next_ : pieces_.front().offset; }

    const std::uint64_t begin_;
    std::uint64_t next_;
    std::optional<std::uint64_t> end_;  ///< Absent until the size is known.
    std::deque<kept> pieces_;
    std::map<unsigned, std::uint64_t> readers_;  ///< Number and position.
    unsigned next_reader_ = 0;
    std::multiset<std::pair<std::uint64_t, std::size_t>> reading_;  ///< Offset and size of the reads under way.
};

}  // namespace keepstore::volumes::cloud
