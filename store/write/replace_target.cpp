// Targets that begin to write after the body has begun: from the equal beginning of their own stored copy, or, in place
// of a failed target, from the bytes that another one has.
#include "base/limits.hpp"
#include "base/log.hpp"
#include "store/limits.hpp"
#include "store/verify/segment.hpp"
#include "store/write/write_operation.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::store {

// Turns a comparing target into a writing one: on its own volume, from its own copy, which is right up to `upto`.
// \returns false if that failed, and so the target.
awaitable<result<bool>> write_operation::start_writing(target& t, std::uint64_t upto) {
    auto writer = co_await t.where->volume->create(request_.hash, source_.size(), until_for(*t.where));
    if (!writer) co_return fail_target(t, writer.error());
    if (upto > 0) {
        KS_CO_TRY(const bool copied, co_await copy_from(t, {**writer, until_for(*t.where)}, upto));
        if (!copied) co_return fail_target(t, errc::io_error);
    }
    t.writer = std::move(*writer);
    t.now = phase::writing;
    co_return true;
}

// For each failed target the next candidate that the plan wants, fed with the first length_ bytes from another target,
// and with the `piece` after them that the others have got already.
awaitable<result<void>> write_operation::replace_failed(const const_slice* piece) {
    put_plan plan = plan_of({phase::comparing, phase::writing, phase::committed});
    source_lost_ = false;
    for (const bool waits : {false, true}) {
        for (const mount* const m : candidates_) {
            // The client's next attempt goes to the volume that would have taken the block.
            if (waits && source_lost_) break;
            if (!plan.wants(*m) || !may_replace(*m, waits)) continue;
            for (const auto& t : targets_) {
                if (t->where == m) t->gave_up = false;
            }
            KS_CO_TRY(const bool added, co_await add_replacement(*m, piece));
            if (!added) continue;
            drop_failed();
            log::warning("a volume failed during a write; went on with another one",
                         {{"block", request_.hash.hex()}, {"mount", m->uuid}, {"copiedBytes", length_}});
            plan.add(*m);
        }
    }
    const bool any_live = std::ranges::any_of(targets_, [](const auto& t) { return t->now != phase::failed; });
    if (!any_live) co_return std::unexpected(nothing_stored());
    co_return success();
}

// First the mounts that were not tried. Then, if the volumes that stalled are all there is, these: they are waited for.
bool write_operation::may_replace(const mount& m, bool waits) const {
    const auto is_m = [&](const auto& t) { return t->where == &m; };
    if (!waits) return std::ranges::none_of(targets_, is_m);
    return std::ranges::any_of(targets_,
                               [&](const auto& t) { return is_m(t) && t->now == phase::failed && t->gave_up; });
}

awaitable<result<bool>> write_operation::add_replacement(const mount& m, const const_slice* piece) {
    KS_CO_TRY(const bool compares, co_await compare_instead(m, piece));
    if (compares) co_return targets_.back()->now != phase::failed;
    KS_CO_TRY(const bool added, co_await add_writer(m));
    if (!added) co_return false;
    co_return co_await feed_replacement(*targets_.back(), piece);
}

// In place of a target that compared: the mount may have the block, too. Its copy needs none of the bytes that may be
// out of reach now. \returns whether that was tried: the mount's target is the last one then.
awaitable<result<bool>> write_operation::compare_instead(const mount& m, const const_slice* piece) {
    const bool compared = std::ranges::any_of(targets_, [](const auto& t) { return t->compared; });
    if (!compared || m.volume->compares_on_commit(source_.size())) co_return false;
    const volumes::open_hint hint{.size = source_.size(), .replaces = true};
    auto reader = co_await m.volume->open_for(request_.hash, hint, until_for(m));
    if (!reader) {
        if (reader.error() == errc::cancelled) co_return std::unexpected(std::move(reader.error()));
        co_return false;
    }
    if (digest_finished_ && (*reader)->size() != length_) co_return false;
    if (length_ > 0) {
        KS_CO_TRY(const bool same, co_await begins_as_body(**reader, until_for(m)));
        if (!same) co_return false;
    }
    targets_.push_back(std::make_unique<target>(
        target{.where = &m, .now = phase::comparing, .stored = *std::move(reader), .compared = true}));
    if (piece) KS_CO_CHECK(co_await feed_one(*targets_.back(), *piece));
    co_return true;
}

// Proves that the first length_ bytes of a stored copy are the body's.
awaitable<result<bool>> write_operation::begins_as_body(volumes::block_reader& copy, deadline until) {
    KS_CO_TRY(auto memory, co_await store_.copy_pool.take(limits::copy_lease_chunks, request_.until));
    digest::md5_stream read(store_.engine, {.queue_bytes = limits::chunk_size_bytes});
    for (std::uint64_t offset = 0; offset < length_;) {
        KS_CO_TRY(const auto into, co_await memory.acquire(request_.until));
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), length_ - offset));
        const auto count = co_await copy.read_at(offset, into.subslice(0, want), until);
        if (!count && count.error() == errc::cancelled) co_return std::unexpected(count.error());
        if (!count || *count != want) co_return false;
        KS_CO_CHECK(co_await read.update(into.freeze(want)));
        offset += want;
    }
    co_return co_await is_body_prefix(read, length_);
}

// \returns false if that failed, and so the target. It is dropped at once then: its source still has the bytes.
awaitable<result<bool>> write_operation::feed_replacement(target& t, const const_slice* piece) {
    if (length_ > 0) {
        KS_CO_TRY(const bool copied, co_await copy_prefix(t, length_));
        if (!copied) {
            t.writer.reset();
            co_return fail_target(t, errc::io_error);
        }
    }
    if (piece) {
        const auto appended = co_await t.writer->append(*piece, until_for(*t.where));
        if (!appended) {
            t.writer.reset();
            co_return fail_target(t, appended.error());
        }
    }
    co_return true;
}

// Tries every holder of the first `upto` bytes in turn: the body in memory, live targets, then what a failed writer can
// still read.
awaitable<result<bool>> write_operation::copy_prefix(target& to, std::uint64_t upto) {
    if (!kept_.pieces().empty()) co_return co_await append_kept({*to.writer, until_for(*to.where)}, upto);
    bool fresh = true;
    for (const bool failed : {false, true}) {
        for (std::size_t i = 0; i < targets_.size(); ++i) {
            target& from = *targets_[i];
            if (&from == &to || (from.now == phase::failed) != failed) continue;
            if (!from.writer && !from.stored) continue;
            if (!std::exchange(fresh, false)) {
                // A partial copy is of no use: begin again.
                auto again = co_await to.where->volume->create(request_.hash, source_.size(), until_for(*to.where));
                if (!again) {
                    if (again.error() == errc::cancelled) co_return std::unexpected(std::move(again.error()));
                    co_return false;
                }
                to.writer = std::move(*again);
            }
            KS_CO_TRY(const bool copied, co_await copy_from(from, {*to.writer, until_for(*to.where)}, upto));
            if (copied) co_return true;
        }
    }
    co_return false;
}

// \returns whether the volume took it.
awaitable<result<bool>> write_operation::append_to(destination to, const const_slice& piece) {
    const auto appended = co_await to.writer.append(piece, to.until);
    if (appended) co_return true;
    co_return note_failure(appended.error());
}

awaitable<result<bool>> write_operation::append_kept(destination to, std::uint64_t upto) {
    for (const const_slice& piece : kept_.pieces()) {
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), upto));
        if (want == 0) break;
        KS_CO_TRY(const bool appended, co_await append_to(to, piece.subslice(0, want)));
        if (!appended) co_return false;
        upto -= want;
    }
    co_return true;
}

// Copies the first `upto` bytes of `from`. \returns whether that worked, and they are proven to be the body's. All that
// was copied is hashed and written then: `to` holds nothing of the lease.
awaitable<result<bool>> write_operation::copy_from(target& from, destination to, std::uint64_t upto) {
    if (!kept_.pieces().empty()) co_return co_await append_kept(to, upto);
    const deadline reading = until_for(*from.where);
    std::unique_ptr<volumes::block_reader> reopened;
    volumes::block_reader* reader = from.writer ? nullptr : from.stored.get();
    if (from.now == phase::committed) {
        auto opened = co_await from.where->volume->open(request_.hash, until_for(*from.where));
        if (!opened) co_return false;
        reopened = std::move(*opened);
        reader = reopened.get();
    }
    if (!reader && !from.writer) co_return false;
    KS_CO_TRY(auto memory, co_await store_.copy_pool.take(limits::copy_lease_chunks, request_.until));
    // The digest and the writer queue one chunk each, so that the lease has one to fill whatever becomes of them.
    to.writer.set_queue_bytes(limits::chunk_size_bytes);
    digest::md5_stream copied(store_.engine, {.queue_bytes = limits::chunk_size_bytes});
    std::uint64_t offset = 0;
    while (offset < upto) {
        KS_CO_TRY(const auto into, co_await memory.acquire(request_.until));
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), upto - offset));
        const auto count = reader ? co_await reader->read_at(offset, into.subslice(0, want), reading)
                                  : co_await from.writer->read_back(offset, into.subslice(0, want), reading);
        if (!count && count.error() == errc::cancelled) co_return std::unexpected(count.error());
        source_lost_ = !count || *count != want;
        if (source_lost_) co_return false;
        const const_slice piece = into.freeze(want);
        KS_CO_CHECK(co_await copied.update(piece));
        // The end of the block may wait for commit, and the next replacement for a lease: it is not one of its chunks.
        const bool last = digest_finished_ && offset + want == upto;
        KS_CO_TRY(const bool appended, co_await append_to(to, last ? copy_to_heap_slice(piece.bytes) : piece));
        if (!appended) co_return false;
        offset += want;
    }
    if (const auto flushed = co_await to.writer.flush(to.until); !flushed) co_return note_failure(flushed.error());
    co_return co_await is_body_prefix(copied, upto);
}

// Proves by the digest's chaining state that copied bytes are the body's. While the body arrives `length` is a whole
// number of chunks, and so a waypoint of its digest.
awaitable<result<bool>> write_operation::is_body_prefix(digest::md5_stream& copied, std::uint64_t length) {
    if (digest_finished_) {
        KS_CO_TRY(const auto whole, co_await copied.finish());
        co_return whole == request_.hash;
    }
    KS_CO_CHECK(co_await copied.drain());
    KS_CO_CHECK(co_await digest_.drain());
    const auto pieces = static_cast<std::size_t>(length / segment::fine_bytes);
    co_return pieces == 0 || copied.state() == digest_.waypoints()[pieces - 1];
}

}  // namespace keepstore::store
