#include "store/read/verified_copy.hpp"

#include "store/limits.hpp"

#include <algorithm>
#include <vector>

namespace keepstore::store {
namespace {

// A piece is a quarter of a segment of a large block, and the first one is sent before more is read: when the other
// three are sent, all lanes have work.
constexpr std::size_t segments_per_piece = 5;

}  // namespace

verified_copy::verified_copy(store_context& store, volumes::block_reader& copy, const digest::waypoints& points,
                             const md5_digest& name, byte_range wanted, const proven_state& start, deadline until)
    : store_(store),
      copy_(copy),
      points_(points),
      name_(name),
      wanted_(wanted),
      until_(until),
      load_next_(start),
      proof_(start),
      position_(wanted.first) {
    store_.read_window.enter();
}

verified_copy::~verified_copy() {
    for (entry& e : ahead_) drop(e);
    if (!low_memory_) store_.read_window.leave();
}

void verified_copy::drop(entry& e) noexcept {
    e.part.drop_bytes();
    store_.read_window.give_back(std::exchange(e.taken, 0));
}

awaitable<result<void>> verified_copy::verify_first() {
    const std::uint64_t until = std::min(wanted_.end(), wanted_.first + limits::verified_first_bytes);
    const bool alone = first_alone();
    while (load_next_.offset < until) {
        const std::size_t before = ahead_.size();
        KS_CO_CHECK(co_await load_one());
        if (ahead_.size() == before) break;  // No room.
    }
    if (alone && !copy_.streams()) KS_CO_CHECK(co_await load_while_first_is_hashed());
    for (entry& e : ahead_) {
        if (e.part.begin() >= until) break;
        KS_CO_CHECK(co_await verify(e));
    }
    co_return success();
}

// The first byte waits for one chain; meanwhile the next segments are read, without hashing them. Only from memory,
// since the first byte must not wait for a disk, and so few that the loop is idle again before the chain ends, also
// where other work competes for the processors.
awaitable<result<void>> verified_copy::load_while_first_is_hashed() {
    const std::size_t most = std::min(segments_ahead(), store_.engine.lanes() / 4);
    while (ahead_.size() < most && ahead_.front().part.hashing() && load_next_.offset < wanted_.end()) {
        const std::size_t before = ahead_.size();
        KS_CO_CHECK(co_await load_one(from::memory));
        if (ahead_.size() == before) break;
        co_await yield_to_loop();
    }
    co_return success();
}

awaitable<result<const_slice>> verified_copy::next() {
    while (position_ < wanted_.end()) {
        if (!ahead_.empty() && position_ >= ahead_.front().part.end()) pop_front();
        const bool first_piece = position_ == wanted_.first && !ahead_.empty();
        if (!first_piece) KS_CO_CHECK(co_await load_more());
        entry& front = ahead_.front();
        KS_CO_CHECK(co_await verify(front));
        if (position_ >= front.part.end()) continue;
        const_slice piece;
        if (front.part.held()) {
            piece = front.part.piece_at(position_);
        } else {
            KS_CO_TRY(auto memory, co_await store_.scratch_pool.take(1, until_));
            auto again = co_await front.part.reread(store_.engine, memory, copy_, position_, until_);
            if (!again) {
                suspect_ = front.part.begin();
                co_return again;
            }
            piece = std::move(*again);
        }
        co_return piece.subslice(0, std::min<std::size_t>(piece.size(), wanted_.end() - position_));
    }
    co_return const_slice{};
}

// A stream from a remote service has its own pace: its first segment is sent as soon as it has arrived, and then twice
// as many each time are collected, hashed concurrently and sent, while the driver receives the next ones. Proven bytes
// never wait for bytes that have not arrived.
std::size_t verified_copy::segments_ahead() const noexcept {
    if (copy_.streams()) return batch_;
    const std::size_t share = store_.read_window.segments_per_reader();
    // Once under way, a reader with (almost) no others gets 1.5 times its share: segments waiting to be batched, being
    // hashed and being sent then overlap.
    const bool under_way = position_ > wanted_.first;
    return under_way && share > limits::read_ahead_segments_min ? share + share / 2 : share;
}

// Whether the first segment is hashed by itself at once, since the first byte waits for it. A lone chain costs more
// than a lane, so with many readers it is batched with theirs.
bool verified_copy::first_alone() const noexcept {
    return copy_.streams() ? batch_ == 1
                           : position_ == wanted_.first && ahead_.empty() &&
                                 store_.read_window.segments_per_reader() > limits::read_ahead_segments_min;
}

// Fills the look-ahead: up to segments_per_piece at a time, so that a proven piece does not wait for all of it. With
// nothing ahead at least one segment is loaded, whatever memory there is.
awaitable<result<void>> verified_copy::load_more() {
    if (copy_.streams()) {
        if (!ahead_.empty() && ahead_.front().part.verified()) co_return success();
        if (position_ > wanted_.first) batch_ = std::min(2 * batch_, limits::stream_batch_segments_max);
    }
    for (std::size_t loaded = 0; load_next_.offset < wanted_.end() && loaded < segments_per_piece; ++loaded) {
        if (!ahead_.empty() && (low_memory_ || ahead_.size() >= segments_ahead())) break;
        const std::size_t before = ahead_.size();
        KS_CO_CHECK(co_await load_one());
        if (ahead_.size() == before) break;
        // Yield to the other requests of this loop: reading a segment takes a tenth of a millisecond.
        co_await yield_to_loop();
    }
    co_return success();
}

awaitable<result<void>> verified_copy::load_one(from where) {
    // Without room only the one segment that is needed now is loaded.
    if (!ahead_.empty() && !store_.read_window.has_room()) co_return success();
    entry added{segment(store_.engine, points_, load_next_, wanted_.end())};
    std::vector<mutable_slice> chunks;
    if (!low_memory_ && store_.read_window.try_take(added.part.size())) {
        added.taken = added.part.size();
        for (std::size_t i = 0; i < added.part.chunk_count(); ++i) {
            auto chunk = store_.request_pool.try_acquire();
            if (!chunk) break;
            chunks.push_back(std::move(*chunk));
        }
    }
    const bool room = chunks.size() == added.part.chunk_count();
    if (!room) {
        store_.read_window.give_back(std::exchange(added.taken, 0));
        chunks.clear();
        if (!ahead_.empty()) co_return success();
    }
    const std::uint64_t begin = added.part.begin();
    const bool alone = first_alone();
    ahead_.push_back(std::move(added));
    entry& e = ahead_.back();
    if (alone) e.part.expect_alone();
    auto loaded = co_await load(e, chunks, where);
    if (!loaded) {
        suspect_ = begin;
        co_return std::unexpected(std::move(loaded.error()));
    }
    if (!*loaded) {
        drop(e);
        ahead_.pop_back();
        co_return success();
    }
    if (e.part.end() < copy_.size())
        load_next_ = e.part.proof_at_end();
    else
        load_next_.offset = copy_.size();
    co_return success();
}

// Without chunks through the scratch pool. \returns false if it would wait and may not.
awaitable<result<bool>> verified_copy::load(entry& e, std::span<const mutable_slice> chunks, from where) {
    if (where == from::memory) co_return co_await e.part.load_cached(chunks, copy_);
    if (chunks.empty()) {
        KS_CO_CHECK(co_await load_through_scratch(e));
    } else {
        KS_CO_CHECK(co_await e.part.load(chunks, copy_, until_));
    }
    co_return true;
}

// Hashes the segment before the lease ends: its pieces do not wait for more lanes while others wait for memory.
awaitable<result<void>> verified_copy::load_through_scratch(entry& e) {
    KS_CO_TRY(auto memory, co_await store_.scratch_pool.take(e.part.chunk_count(), until_));
    KS_CO_CHECK(co_await e.part.load_through(memory, copy_, until_));
    co_return co_await verify(e);
}

awaitable<result<void>> verified_copy::verify(entry& e) {
    if (e.part.verified()) co_return success();
    KS_CO_TRY(const bool right, co_await e.part.verify(name_));
    if (right) co_return success();
    suspect_ = e.part.begin();
    co_return fail(errc::checksum_mismatch);
}

void verified_copy::pop_front() {
    entry& front = ahead_.front();
    if (front.part.end() < copy_.size()) proof_ = front.part.proof_at_end();
    drop(front);
    ahead_.pop_front();
    if (low_memory_ && !slow_in_segment_) {
        low_memory_ = false;
        store_.read_window.enter();
    }
    slow_in_segment_ = false;
}

void verified_copy::release_buffers() noexcept {
    while (ahead_.size() > 1) {
        load_next_.offset = ahead_.back().part.begin();
        drop(ahead_.back());
        ahead_.pop_back();
    }
    if (!ahead_.empty()) {
        drop(ahead_.front());
        if (ahead_.front().part.end() < copy_.size()) load_next_ = ahead_.front().part.proof_at_end();
    }
    if (low_memory_) return;
    low_memory_ = slow_in_segment_ = true;
    store_.read_window.leave();
}

proven_state verified_copy::proof() const {
    if (ahead_.empty() || !ahead_.front().part.verified() || position_ < ahead_.front().part.begin()) return proof_;
    return ahead_.front().part.proof_at(position_);
}

}  // namespace keepstore::store
