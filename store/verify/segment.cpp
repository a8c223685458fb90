#include "store/verify/segment.hpp"

#include "base/limits.hpp"
#include "store/limits.hpp"
#include "store/verify/stored_bytes.hpp"

#include <algorithm>

namespace keepstore::store {

segment::segment(digest::engine& engine, const digest::waypoints& points, const proven_state& start, std::uint64_t end)
    : begin_(start.offset), fine_{start.state} {
    const std::uint64_t stride = points.stride();
    // Waypoints closer than a chunk are not worth a job each, unless only a part is requested.
    const std::uint64_t run = std::max<std::uint64_t>(stride, limits::chunk_size_bytes);
    const std::uint64_t run_end = (begin_ / run + 1) * run;
    const std::uint64_t wanted_end = (end + stride - 1) / stride * stride;
    end_ = std::min({run_end, wanted_end, std::uint64_t{points.length()}});
    if (end_ < points.length()) to_ = points.state_before(static_cast<std::size_t>(end_ / stride));
    for (std::uint64_t at = (begin_ / stride + 1) * stride; at < end_; at += stride) {
        inner_.push_back({at, points.state_before(static_cast<std::size_t>(at / stride))});
    }
    hash_.emplace(engine, digest::md5_stream::options{.queue_bytes = size(),
                                                      .waypoint_stride = fine_bytes,
                                                      .from = start.state,
                                                      .offset = begin_,
                                                      .deferrable = true});
}

void segment::expect_alone() noexcept {
    alone_ = true;
    // A smaller one is verified together with the next ones before the first byte.
    if (size() >= limits::verified_first_bytes) hash_->keep_alone();
}

std::size_t segment::chunk_count() const noexcept {
    return (size() + limits::chunk_size_bytes - 1) / limits::chunk_size_bytes;
}

// Reads the pieces and hands them to the digest engine.
awaitable<result<void>> segment::read_and_hash(std::uint64_t offset, std::span<const mutable_slice> pieces,
                                               volumes::block_reader& copy, deadline until) {
    if (alone_) {
        for (const mutable_slice& piece : pieces) {
            KS_CO_CHECK(co_await read_stored_all(copy, offset, std::span(&piece, 1), until));
            KS_CO_CHECK(co_await hash_->update(piece.freeze(piece.size())));
            hash_->flush();
            offset += piece.size();
        }
        co_return success();
    }
    KS_CO_CHECK(co_await read_stored_all(copy, offset, pieces, until));
    co_return co_await hash(pieces);
}

awaitable<result<void>> segment::hash(std::span<const mutable_slice> pieces) {
    for (const mutable_slice& piece : pieces) {
        // Never waits: the stream takes as much as the segment is long.
        KS_CO_CHECK(co_await hash_->update(piece.freeze(piece.size())));
    }
    co_return success();
}

std::vector<mutable_slice> segment::cut(std::span<const mutable_slice> chunks) const {
    std::vector<mutable_slice> pieces;
    for (std::uint64_t offset = begin_; offset < end_; offset += pieces.back().size()) {
        const mutable_slice& chunk = chunks[pieces.size()];
        pieces.push_back(chunk.subslice(0, std::min<std::size_t>(chunk.size(), end_ - offset)));
    }
    return pieces;
}

void segment::keep(std::span<const mutable_slice> pieces) {
    for (const mutable_slice& piece : pieces) pieces_.push_back(piece.freeze(piece.size()));
}

awaitable<result<void>> segment::load(std::span<const mutable_slice> chunks, volumes::block_reader& copy,
                                      deadline until) {
    const auto pieces = cut(chunks);
    KS_CO_CHECK(co_await read_and_hash(begin_, pieces, copy, until));
    keep(pieces);
    co_return success();
}

awaitable<result<bool>> segment::load_cached(std::span<const mutable_slice> chunks, volumes::block_reader& copy) {
    const auto pieces = cut(chunks);
    if (!try_read_stored_all(copy, begin_, pieces)) co_return false;
    KS_CO_CHECK(co_await hash(pieces));
    keep(pieces);
    co_return true;
}

awaitable<result<void>> segment::load_through(pool::chunk_source& memory, volumes::block_reader& copy, deadline until) {
    for (std::uint64_t offset = begin_; offset < end_;) {
        std::vector<mutable_slice> pieces;
        KS_CO_TRY(auto chunk, co_await memory.acquire(until));
        // Chunks that are free right now are read concurrently.
        for (std::optional<mutable_slice> next = std::move(chunk); next; next = memory.try_acquire()) {
            pieces.push_back(next->subslice(0, std::min<std::size_t>(next->size(), end_ - offset)));
            offset += pieces.back().size();
            if (offset == end_) break;
        }
        std::size_t bytes = 0;
        for (const mutable_slice& piece : pieces) bytes += piece.size();
        KS_CO_CHECK(co_await read_and_hash(offset - bytes, pieces, copy, until));
    }
    co_return success();
}

awaitable<result<bool>> segment::verify(const md5_digest& name) {
    if (verified_) co_return true;
    name_ = name;
    bool right = false;
    if (to_) {
        KS_CO_CHECK(co_await hash_->drain());
        right = hash_->state() == *to_;
    } else {
        KS_CO_TRY(const auto digest, co_await hash_->finish());
        right = digest == name;
    }
    const auto states = hash_->waypoints();
    for (const proven_state& inner : inner_) {
        right = right && states[static_cast<std::size_t>((inner.offset - begin_) / fine_bytes) - 1] == inner.state;
    }
    if (right) {
        fine_.insert(fine_.end(), states.begin(), states.end());
        verified_ = true;
    } else {
        pieces_.clear();
    }
    hash_.reset();
    co_return right;
}

const_slice segment::piece_at(std::uint64_t offset) const {
    const auto at = static_cast<std::size_t>(offset - begin_);
    return pieces_[at / limits::chunk_size_bytes].subslice(at % limits::chunk_size_bytes);
}

awaitable<result<const_slice>> segment::reread(digest::engine& engine, pool::chunk_source& memory,
                                               volumes::block_reader& copy, std::uint64_t offset,
                                               deadline until) const {
    const proven_state from = proof_at(offset);
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(fine_bytes, end_ - from.offset));
    KS_CO_TRY(const auto into, co_await memory.acquire(until));
    KS_CO_TRY(const std::size_t count, co_await read_stored(copy, from.offset, into.subslice(0, size), until));
    if (count < size) co_return fail(errc::checksum_mismatch);
    const const_slice bytes = into.freeze(size);
    const std::size_t whole = size - size % digest::md5_block_bytes;
    KS_CO_TRY(const auto state, co_await engine.compress(from.state, bytes.subslice(0, whole)));
    const std::uint64_t piece_end = from.offset + size;
    bool right = false;
    if (piece_end == end_) {
        right = to_ ? state == *to_ : digest::md5_finish(state, bytes.bytes.subspan(whole), end_) == name_;
    } else {
        right = state == fine_[static_cast<std::size_t>((piece_end - begin_) / fine_bytes)];
    }
    if (!right) co_return fail(errc::checksum_mismatch);
    co_return bytes.subslice(static_cast<std::size_t>(offset - from.offset));
}

proven_state segment::proof_at(std::uint64_t offset) const {
    const auto k = std::min(static_cast<std::size_t>((offset - begin_) / fine_bytes), fine_.size() - 1);
    return {begin_ + k * fine_bytes, fine_[k]};
}

}  // namespace keepstore::store
