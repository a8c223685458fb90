/// One GET or HEAD. Tries the copies of the block in reading order, those known to be corrupt last; wrong bytes are
/// never sent as a complete block. Used once, by one coroutine.
///
///   open ─► size plausible? ─┬─ HEAD ─────────────────────────► hash all, send nothing ──► done | corrupt
///                            ├─ at most one chunk ────────────► read, hash, send ────────► done | corrupt
///                            ├─ has waypoints ────────────────► VERIFIED
///                            ├─ none, and cannot be kept (1) ─► STREAMING
///                            └─ none otherwise ───────────────► REHASH
///
///   VERIFIED ──┬─ end ─────────────────────────────► done
///              ├─ segment and waypoint disagree ───► REHASH
///              ├─ slow client, and copy streams ───► STREAMING
///              └─ cannot be read ──────────────────► corrupt
///   STREAMING ─┬─ digest matches ──────────────────► done
///              ├─ slow client, unless copy streams ► REHASH
///              └─ digest differs, cannot be read ──► corrupt
///   REHASH ────┬─ digest matches ──────────────────► VERIFIED
///              └─ digest differs, cannot be read ──► corrupt
///
///   (1) The copy is a stream, or its storage keeps no attributes, or the mount is read-only: hashing it before each
///       read would read it twice each time. Only of the first copy, and not of a range.
///
///   corrupt: the next copy continues at sent_. With no copy left: STITCHED, which reads one block made of the good
///   segments of several copies as VERIFIED or STREAMING, and again as long as each round proves more than the one
///   before. Any step may end in `abandoned`: the client or the deadline ended the read.
///
///   small       at most a chunk. Range or whole, it is proven before the first byte is sent.
///   VERIFIED    each segment is checked against a waypoint before it is sent. Holds up to its share of read_window.
///   STREAMING   bytes are sent while they are hashed; the last chunk is withheld until the digest matches. Holds one
///               chunk. Of a range nothing is sent like this: it could not be proven.
///   REHASH      nothing is sent; the whole copy is hashed, which shows whether the bytes or their waypoints are wrong,
///               and computes right ones, which are kept for later reads. Once per copy: a second mismatch means that
///               the copy changes while it is read.
///
///   Invariant   Between two steps proof_->offset <= sent_, and proof_->state is the MD5 state of the bytes before
///               proof_->offset (of a range, by the waypoint before it): a copy that leads from there to the block's
///               name continues what the client has.
///
/// An errc of the result comes from one of two places: abandon(), or keep_first_error() for a copy that could not be
/// used, mostly by way of mark_corrupt().
#pragma once

#include "base/async.hpp"
#include "base/byte_stream.hpp"
#include "store/context.hpp"
#include "store/requests.hpp"
#include "store/verify/segment.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::store {

class stitched_copy;
class verified_copy;

class read_operation {
  public:
    read_operation(store_context& store, const block_read_request& request, byte_sink& sink)
        : store_(store), request_(request), sink_(sink) {}

    [[nodiscard]] awaitable<result<std::uint64_t>> run();

  private:
    using clock = std::chrono::system_clock;
    /// What follows.
    enum class step {
        done,       ///< Everything was sent and is proven.
        corrupt,    ///< The copy is wrong, unreadable or out of reach: the next copy continues at sent_.
        abandoned,  ///< The client or the deadline ended the read: failure_ is its result.
        rehash,     ///< Hash the whole copy before more of it is sent.
        stream,     ///< Send the rest while hashing it.
    };
    /// The waypoints of the copy that is being read.
    struct copy_waypoints {
        std::optional<digest::waypoints> stored;    ///< With the copy; its bytes may disagree.
        std::optional<digest::waypoints> computed;  ///< From all of its bytes: `stored` is missing or wrong.
        bool supported = true;                      ///< The volume can keep them.
    };
    /// The copy whose error is the result, for the log.
    struct corrupt_copy {
        const mount* where = nullptr;
        std::uint64_t offset = 0;
        std::string problem;
        clock::time_point known_since;
    };

    // read_operation.cpp: the copies one after another.
    [[nodiscard]] std::vector<const mount*> reading_order() const;
    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(const mount&);
    awaitable<step> send_copy(const mount&);
    [[nodiscard]] std::optional<std::string> implausible_size(std::uint64_t size) const;
    [[nodiscard]] bool may_stream_unproven(const volumes::block_reader&, const copy_waypoints&) const;
    awaitable<step> verify_only(volumes::block_reader&);
    awaitable<step> send_small(volumes::block_reader&);
    awaitable<step> rehash(volumes::block_reader&, copy_waypoints&);
    awaitable<void> keep_waypoints(volumes::block_reader&, const copy_waypoints&);
    // verified_path.cpp
    awaitable<step> send_verified(volumes::block_reader&, const digest::waypoints&);
    awaitable<result<step>> send_segments(verified_copy&);
    [[nodiscard]] proven_state start_of(const digest::waypoints&, const byte_range& body) const;
    // streaming_path.cpp
    awaitable<step> send_streaming(volumes::block_reader&, copy_waypoints&);
    awaitable<result<const_slice>> read_piece(volumes::block_reader&, std::uint64_t offset, std::size_t want,
                                              std::optional<error>& unreadable);
    // stitched_path.cpp
    awaitable<step> send_stitched(const std::vector<const mount*>&);
    awaitable<step> stitch_once(const std::vector<const mount*>&);
    awaitable<result<bool>> plan_stitched(stitched_copy&, const digest::waypoints&);
    [[nodiscard]] bool may_be_stitched() const;

    /// Calls sink_.begin(), once. \returns false if that failed: the read is abandoned.
    awaitable<bool> begin(std::uint64_t size);
    /// The bytes that go to the client of a block of this size.
    [[nodiscard]] byte_range body_of(std::uint64_t size) const;

    /// Ends the read with this error.
    step abandon(error why);
    /// Counts, logs and remembers the copy, from `offset` on, as corrupt, or unreadable if the error is another one
    /// than checksum_mismatch. An outage of its volume, or that it was trashed, says nothing about the copy: the next
    /// one is tried. errc::cancelled abandons the read.
    step mark_corrupt(std::uint64_t offset, error why, std::string problem = {});
    /// Keeps what the client is told if no copy is good: any failure says more than "not found" (docs/interface.md
    /// 8.6), and of several the first counts. \returns whether it was kept.
    bool keep_first_error(error why);
    void log_corrupt() const;
    void log_outage() const;

    store_context& store_;
    const block_read_request& request_;
    byte_sink& sink_;

    std::size_t copies_ = 0;  // Opened so far.
    deadline until_;          // Of calls to the copy being read: ends at a stall while there is another mount.
    errc latest_error_ = errc::not_found;  // Of a copy that could not be used.
    const mount* where_ = nullptr;         // Of the copy being read; none while it is stitched.
    std::uint64_t suspect_ = 0;            // Where that copy disagreed with its waypoints.
    bool failed_over_ = false;

    bool begun_ = false;                 // sink_.begin() was called.
    std::uint64_t size_ = 0;             // Once begun: of the block.
    std::uint64_t sent_ = 0;             // Once begun: the sink has had the bytes of the body before this.
    std::optional<proven_state> proof_;  // Once begun; see the invariant.

    error failure_{errc::not_found};
    std::optional<corrupt_copy> culprit_;  // Which failure_ is about.
};

}  // namespace keepstore::store
