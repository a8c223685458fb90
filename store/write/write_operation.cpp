#include "store/write/write_operation.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "store/limits.hpp"
#include "store/outage.hpp"
#include "store/verify/segment.hpp"
#include "store/verify/verify_copy.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::store {

write_operation::write_operation(store_context& store, const block_write_request& request, byte_source& source)
    : store_(store),
      request_(request),
      source_(source),
      candidates_(store.mounts.in_write_order(request.hash)),
      digest_(store.engine,
              {.queue_bytes = digest_queue_bytes(), .waypoint_stride = segment::fine_bytes, .batching = true}),
      kept_(store.kept_bodies) {}

awaitable<result<block_write_response>> write_operation::run() {
    if (source_.size().value_or(0) > limits::block_size_bytes_max) co_return fail(errc::too_large);
    KS_CO_CHECK(co_await choose_targets());
    KS_CO_CHECK(co_await receive());
    KS_CO_TRY(const auto digest, co_await digest_.finish());
    if (digest != request_.hash) {
        co_return fail(errc::bad_request, fmt::format("content hash {} did not match specified locator {}",
                                                      digest.hex(), request_.path_text));
    }
    digest_finished_ = true;
    if (has_waypoints(length_)) {
        const auto points = digest::waypoints::from_capture(static_cast<std::size_t>(length_), segment::fine_bytes,
                                                            digest_.waypoints());
        if (points) waypoints_ = points->encode(request_.hash);
    }
    KS_CO_CHECK(co_await commit_all());

    const put_plan stored = plan_of({phase::committed});
    if (stored.replicas() == 0) co_return std::unexpected(nothing_stored());
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    co_return block_write_response{
        .locator = store_.signer.sign(fmt::format("{}+{}", request_.hash.hex(), length_), request_.token, now),
        .replicas = stored.replicas(),
        .storage_classes = stored.classes()};
}

// First the copies that exist: each one wanted by the plan is compared, and ends the search for its classes. Then
// writers for what is still wanted (docs/interface.md 2.12, 8.2).
awaitable<result<void>> write_operation::choose_targets() {
    put_plan plan(request_.storage_classes);
    // With a choice of volumes it has to be found out which of them has the block.
    const bool look = candidates_.size() != 1 || !candidates_.front()->volume->compares_on_commit(source_.size());
    for (const mount* const m : candidates_) {
        if (!look || !plan.wants(*m)) continue;
        auto now = m->volume->try_open(request_.hash);
        const volumes::open_hint hint{.size = source_.size(), .replaces = true};
        auto reader = now ? std::move(*now) : co_await m->volume->open_for(request_.hash, hint, until_for(*m));
        if (!reader) {
            if (reader.error() == errc::cancelled) co_return std::unexpected(std::move(reader.error()));
            continue;  // Absent, or not readable: writing will show what is wrong.
        }
        targets_.push_back(std::make_unique<target>(
            target{.where = m, .now = phase::comparing, .stored = *std::move(reader), .compared = true}));
        plan.add(*m);
    }
    // A stalled volume only if no other one takes the block.
    for (const bool waits : {false, true}) {
        for (const mount* const m : candidates_) {
            if (!plan.wants(*m) || (waits && m->write_state() != volumes::volume_state::stalled)) continue;
            KS_CO_TRY(const bool added, co_await add_writer(*m));
            if (added) plan.add(*m);
        }
    }
    if (targets_.empty()) co_return std::unexpected(nothing_stored());
    co_return success();
}

// The digest may lag behind, so that streams that arrive in bursts are hashed in lanes; not when memory is short.
std::size_t write_operation::digest_queue_bytes() const noexcept {
    const std::size_t queue = store_.request_pool.queue_bytes();
    return queue == limits::request_queue_bytes_max ? limits::digest_lag_bytes_max : queue;
}

awaitable<result<void>> write_operation::receive() {
    bool end = false;
    while (!end) {
        std::size_t filled = 0;
        KS_CO_TRY(const auto into, co_await next_chunk(filled, end));
        if (filled == 0) break;
        if (length_ + filled > limits::block_size_bytes_max) co_return fail(errc::too_large);
        const const_slice piece = into.freeze(filled);
        keep(piece, end);
        digest_.set_queue_bytes(digest_queue_bytes());
        KS_CO_CHECK(co_await digest_.update(piece));
        KS_CO_CHECK(co_await feed(piece));
        length_ += filled;
    }
    co_return success();
}

// Only if another volume could take the body, and not while others may wait for memory.
void write_operation::keep(const const_slice& piece, bool end) {
    if (end && length_ == 0) return kept_.set_whole(piece);
    const std::uint64_t size = source_.size().value_or(length_ + piece.size());
    const bool plenty = store_.request_pool.queue_bytes() == limits::request_queue_bytes_max;
    if (candidates_.size() > 1 && plenty && size <= limits::kept_body_bytes_max) {
        kept_.add(piece);
    } else {
        kept_.drop();
    }
}

// Fills a chunk with the next bytes of the body; full unless the body ends. Holds no memory for a client that is silent
// between chunks.
awaitable<result<mutable_slice>> write_operation::next_chunk(std::size_t& filled, bool& end) {
    const auto announced = source_.size();
    if (announced && length_ == *announced) {
        end = true;
        co_return mutable_slice{};
    }
    KS_CO_CHECK(co_await source_.wait_ready());
    auto free = store_.request_pool.try_acquire();
    if (!free) {
        KS_CO_CHECK(co_await release_memory());
        KS_CO_TRY(free, co_await store_.request_pool.acquire(request_.until));
    }
    mutable_slice into = std::move(*free);
    while (filled < into.size()) {
        KS_CO_TRY(const std::size_t count, co_await source_.read_some(into.bytes.subspan(filled)));
        filled += count;
        end = count == 0 || (announced && length_ + filled == *announced);
        if (end) break;
    }
    co_return into;
}

// Waits until all pieces so far are hashed and written, so that their chunks are free. Volumes that fail are replaced:
// what a failed writer has queued would not come back by itself.
awaitable<result<void>> write_operation::release_memory() {
    kept_.drop();
    KS_CO_CHECK(co_await digest_.drain());
    bool any_failed = true;
    while (any_failed) {
        any_failed = false;
        for (const auto& t : targets_) {
            if (t->now != phase::writing) continue;
            const auto flushed = co_await t->writer->flush(until_for(*t->where));
            if (flushed) continue;
            KS_CO_CHECK(fail_target(*t, flushed.error()));
            any_failed = true;
        }
        if (any_failed) KS_CO_CHECK(co_await replace_failed(nullptr));
    }
    co_return success();
}

awaitable<result<void>> write_operation::feed(const const_slice& piece) {
    for (const auto& t : targets_) {
        if (t->now != phase::failed) KS_CO_CHECK(co_await feed_one(*t, piece));
    }
    const bool any_failed = std::ranges::any_of(targets_, [](const auto& t) { return t->now == phase::failed; });
    if (any_failed) KS_CO_CHECK(co_await replace_failed(&piece));
    co_return success();
}

awaitable<result<void>> write_operation::feed_one(target& t, const const_slice& piece) {
    if (t.now == phase::comparing) {
        const auto equal = co_await t.stored->equals_at(length_, piece, until_for(*t.where));
        if (!equal && equal.error() == errc::cancelled) co_return std::unexpected(equal.error());
        if (equal && *equal) co_return success();
        const bool outage = !equal && is_outage(equal.error());
        if (outage && has_alternative(*t.where)) {
            KS_CO_CHECK(fail_target(t, equal.error()));
            co_return success();
        }
        // The stored copy ends, differs or cannot be read from here on; up to here it is the body.
        if (!outage) t.differs_from = length_;
        KS_CO_TRY(const bool started, co_await start_writing(t, length_));
        if (!started) co_return success();
    }
    t.writer->set_queue_bytes(store_.request_pool.queue_bytes());
    const auto appended = co_await t.writer->append(piece, until_for(*t.where));
    if (!appended) KS_CO_CHECK(fail_target(t, appended.error()));
    co_return success();
}

awaitable<result<bool>> write_operation::add_writer(const mount& m) {
    auto writer = co_await m.volume->create(request_.hash, source_.size(), until_for(m));
    if (!writer) {
        refused_.insert(&m);
        co_return note_failure(writer.error());
    }
    targets_.push_back(
        std::make_unique<target>(target{.where = &m, .now = phase::writing, .writer = *std::move(writer)}));
    co_return true;
}

bool write_operation::has_alternative(const mount& m) const {
    if (candidates_.size() < 2) return false;
    put_plan plan(request_.storage_classes);
    for (const auto& t : targets_) {
        if (t->where != &m && t->now != phase::failed) plan.add(*t->where);
    }
    for (const mount* const other : candidates_) {
        const bool tried = std::ranges::any_of(targets_, [&](const auto& t) { return t->where == other; });
        if (other != &m && !tried && !refused_.contains(other) && plan.wants(*other) && other->takes_writes())
            plan.add(*other);
    }
    return plan.done();
}

deadline write_operation::until_for(const mount& m) const {
    return request_.until.ending_at_stall(has_alternative(m));
}

result<bool> write_operation::fail_target(target& t, const error& why) {
    KS_CHECK(note_failure(why));
    t.now = phase::failed;
    t.gave_up = why == errc::unavailable && has_alternative(*t.where);
    log::warning("a volume could not store a block",
                 {{"block", request_.hash.hex()}, {"mount", t.where->uuid}, {"error", why.text}});
    drop_failed();
    return false;
}

// Releases what failed targets have, their queues above all, if the bytes can be had elsewhere.
void write_operation::drop_failed() noexcept {
    const bool elsewhere =
        !kept_.pieces().empty() || std::ranges::any_of(targets_, [](const auto& t) { return t->now != phase::failed; });
    if (!elsewhere) return;
    for (const auto& t : targets_) {
        if (t->now != phase::failed) continue;
        t->writer.reset();
        t->stored.reset();
    }
}

result<bool> write_operation::note_failure(const error& why) {
    if (why == errc::cancelled) return std::unexpected(why);
    if (why != errc::no_space) all_full_ = false;
    return false;
}

put_plan write_operation::plan_of(std::initializer_list<phase> phases) const {
    put_plan plan(request_.storage_classes);
    for (const auto& t : targets_) {
        if (std::ranges::find(phases, t->now) != phases.end()) plan.add(*t->where);
    }
    return plan;
}

error write_operation::nothing_stored() const {
    return error(all_full_ ? errc::no_space : errc::unavailable);
}

}  // namespace keepstore::store
