#include "store/write/write_operation.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/when_all.hpp"
#include "store/verify/verify_copy.hpp"
#include "store/verify/segment.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::store {

write_operation::write_operation(store_context& store, const block_write_request& request, byte_source& source)
    : store_(store),
      request_(request),
      source_(source),
      candidates_(store.mounts.in_write_order(request.hash)),
      digest_(store.engine,
              {.queue_bytes = digest_queue_bytes(), .waypoint_stride = segment::fine_bytes, .batching = true}) {}

awaitable<result<block_write_response>> write_operation::run() {
    if (source_.size().value_or(0) > limits::block_size_bytes_max) co_return fail(errc::too_large);
    if (auto chosen = co_await choose_targets(); !chosen) co_return std::unexpected(std::move(chosen.error()));
    if (auto received = co_await receive(); !received) co_return std::unexpected(std::move(received.error()));
    const auto digest = co_await digest_.finish();
    if (!digest) co_return std::unexpected(digest.error());
    if (*digest != request_.hash) {
        co_return fail(errc::bad_request, fmt::format("content hash {} did not match specified locator {}",
                                                      digest->hex(), request_.path_text));
    }
    digest_finished_ = true;
    if (has_waypoints(length_)) {
        const auto points = digest::waypoints::from_capture(static_cast<std::size_t>(length_), segment::fine_bytes,
                                                            digest_.waypoints());
        if (points) waypoints_ = points->encode(request_.hash);
    }
    if (auto committed = co_await commit_all(); !committed) co_return std::unexpected(std::move(committed.error()));

    put_plan stored(request_.storage_classes);
    for (const auto& t : targets_)
        if (t->committed) stored.add(*t->where);
    if (stored.replicas() == 0) co_return std::unexpected(nothing_stored());
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    co_return block_write_response{
        .locator = store_.signer.sign(fmt::format("{}+{}", request_.hash.hex(), length_), request_.token, now),
        .replicas = stored.replicas(),
        .storage_classes = stored.classes()};
}

// First the copies that are there: each one wanted by the plan is compared, and ends the search for its classes. Then
// writers for what is still wanted (docs/interface.md 2.12, 8.2).
awaitable<result<void>> write_operation::choose_targets() {
    put_plan plan(request_.storage_classes);
    // With a choice of volumes one has to look which of them has it.
    const bool look = candidates_.size() != 1 || !candidates_.front()->volume->compares_on_commit(source_.size());
    for (const mount* const m : candidates_) {
        if (!look || !plan.wants(*m)) continue;
        auto now = m->volume->try_open(request_.hash);
        const volumes::open_hint hint{.size = source_.size(), .replaces = true};
        auto reader = now ? std::move(*now) : co_await m->volume->open_for(request_.hash, hint, request_.until);
        if (!reader) {
            if (reader.error() == errc::cancelled) co_return std::unexpected(std::move(reader.error()));
            continue;  // Not there, or not readable: writing will show what is wrong.
        }
        auto t = std::make_unique<target>();
        t->where = m;
        t->reader = std::move(*reader);
        plan.add(*m);
        targets_.push_back(std::move(t));
    }
    for (const mount* const m : candidates_) {
        if (!plan.wants(*m)) continue;
        if (co_await add_writer(*m)) plan.add(*m);
        if (cancelled_) co_return std::unexpected(*cancelled_);
    }
    if (targets_.empty()) co_return std::unexpected(nothing_stored());
    co_return result<void>{};
}

// The digest may lag behind, so that streams that come in bursts are hashed side by side; not when memory is short.
std::size_t write_operation::digest_queue_bytes() const noexcept {
    const std::size_t queue = store_.request_pool.request_queue_bytes();
    return queue == limits::request_queue_bytes_max ? limits::digest_lag_bytes_max : queue;
}

awaitable<result<void>> write_operation::receive() {
    bool end = false;
    while (!end) {
        std::size_t filled = 0;
        auto into = co_await next_chunk(filled, end);
        if (!into) co_return std::unexpected(std::move(into.error()));
        if (filled == 0) break;
        if (length_ + filled > limits::block_size_bytes_max) co_return fail(errc::too_large);
        const const_slice piece = into->freeze(filled);
        digest_.set_queue_bytes(digest_queue_bytes());
        if (auto added = co_await digest_.update(piece); !added) co_return std::unexpected(std::move(added.error()));
        if (auto fed = co_await feed(piece); !fed) co_return std::unexpected(std::move(fed.error()));
        length_ += filled;
    }
    co_return result<void>{};
}

// A chunk filled with what the client sends next; full unless the body ends. No memory is held for a client that is
// silent between chunks.
awaitable<result<mutable_slice>> write_operation::next_chunk(std::size_t& filled, bool& end) {
    const auto announced = source_.size();
    if (announced && length_ == *announced) {
        end = true;
        co_return mutable_slice{};
    }
    if (auto ready = co_await source_.wait_ready(); !ready) co_return std::unexpected(std::move(ready.error()));
    auto into = co_await store_.request_pool.acquire();
    if (!into) co_return into;
    while (filled < into->size()) {
        auto count = co_await source_.read_some(into->bytes.subspan(filled));
        if (!count) co_return std::unexpected(std::move(count.error()));
        if (*count == 0) {
            end = true;
            break;
        }
        filled += *count;
        if (announced && length_ + filled == *announced) {
            end = true;
            break;
        }
    }
    co_return into;
}

awaitable<result<void>> write_operation::feed(const const_slice& piece) {
    for (const auto& t : targets_) {
        if (t->failed) continue;
        if (auto fed = co_await feed_one(*t, piece); !fed) co_return std::move(fed);
    }
    if (std::ranges::any_of(targets_, [](const auto& t) { return t->failed; })) {
        co_return co_await replace_failed(length_, &piece);
    }
    co_return result<void>{};
}

awaitable<result<void>> write_operation::feed_one(target& t, const const_slice& piece) {
    if (t.comparing()) {
        auto equal = co_await t.reader->equals_at(length_, piece, request_.until);
        if (!equal && equal.error() == errc::cancelled) co_return std::unexpected(std::move(equal.error()));
        if (equal && *equal) co_return result<void>{};
        // The stored copy ends, differs or cannot be read from here on; up to here it is what the client sent.
        if (!co_await rewrite_bad_copy(t, length_)) {
            if (cancelled_) co_return std::unexpected(*cancelled_);
            co_return result<void>{};
        }
    }
    t.writer->set_queue_bytes(store_.request_pool.request_queue_bytes());
    auto appended = co_await t.writer->append(piece, request_.until);
    if (!appended) {
        if (appended.error() == errc::cancelled) co_return std::unexpected(std::move(appended.error()));
        fail_target(t, appended.error());
    }
    co_return result<void>{};
}

awaitable<result<void>> write_operation::commit_all() {
    for (const auto& t : targets_) {
        if (!t->comparing() || t->reader->size() == length_) continue;
        if (!co_await rewrite_bad_copy(*t, length_) && cancelled_) co_return std::unexpected(*cancelled_);
    }
    for (const auto& t : targets_) {
        if (!t->writing() || !t->bad_copy) continue;
        auto collision = co_await is_collision(*t->reader);
        if (!collision) co_return std::unexpected(std::move(collision.error()));
        if (*collision) {
            log::error("hash collision: a different block with the same MD5 is stored",
                       {{"block", request_.hash.hex()}, {"mount", t->where->uuid}});
            co_return fail(errc::collision);
        }
        // Only now: of a body that is not what its name says a good copy differs too.
        store_.counters.bad_copies.add();
        store_.bad_copy_log.report(t->where->uuid, request_.hash, "differs from the data being stored",
                                   t->differs_from);
    }
    while (true) {
        std::vector<target*> open;
        for (const auto& t : targets_)
            if (!t->committed && !t->failed) open.push_back(t.get());
        if (open.empty()) break;
        if (open.size() == 1) {
            co_await commit_one(*open.front());
        } else {
            std::vector<awaitable<void>> work;
            for (target* const t : open) work.push_back(commit_one(*t));
            if (co_await when_all(std::move(work))) co_return fail(errc::cancelled);
        }
        if (cancelled_) co_return std::unexpected(*cancelled_);
        if (auto replaced = co_await replace_failed(length_, nullptr); !replaced) co_return std::move(replaced);
    }
    co_return result<void>{};
}

awaitable<void> write_operation::commit_one(target& t) {
    if (t.comparing()) {
        auto touched = co_await t.where->volume->touch(request_.hash, request_.until);
        if (touched) {
            t.committed = true;
            co_return;
        }
        if (touched.error() == errc::cancelled) {
            cancelled_ = std::move(touched.error());
            co_return;
        }
        if (!(touched.error() == errc::not_found)) {
            fail_target(t, touched.error());
            co_return;
        }
        // Trashed between comparing and touching: the open copy is still whole and proven equal; store it again.
        const bool again = co_await start_writing(t, length_);
        if (!again) co_return;
    }
    std::optional<std::pair<std::string, std::vector<std::byte>>> attribute;
    if (waypoints_) attribute.emplace(waypoints_attribute, *waypoints_);
    auto committed = co_await t.writer->commit(std::move(attribute), request_.until);
    if (committed) {
        t.committed = true;
        if (t.bad_copy) {
            store_.counters.repaired_copies.add();
            store_.bad_copy_log.forget(t.where->uuid, request_.hash);
        }
        co_return;
    }
    if (committed.error() == errc::cancelled || committed.error() == errc::collision) {
        cancelled_ = std::move(committed.error());
        co_return;
    }
    fail_target(t, committed.error());
}

// The stored copy differs from the body, whose digest is right. If the copy's digest is right as well the two collide;
// otherwise the copy is rotten.
awaitable<result<bool>> write_operation::is_collision(volumes::block_reader& reader) {
    digest::md5_stream stream(store_.engine, {});
    std::uint64_t offset = 0;
    while (offset < reader.size()) {
        auto into = co_await store_.copy_pool.acquire();
        if (!into) co_return std::unexpected(std::move(into.error()));
        auto count = co_await reader.read_at(offset, *into, request_.until);
        if (!count && count.error() == errc::cancelled) co_return std::unexpected(std::move(count.error()));
        if (!count || *count == 0) co_return false;  // Unreadable: not a copy that is worth keeping.
        if (auto added = co_await stream.update(into->freeze(*count)); !added)
            co_return std::unexpected(std::move(added.error()));
        offset += *count;
    }
    const auto digest = co_await stream.finish();
    if (!digest) co_return std::unexpected(digest.error());
    co_return *digest == request_.hash;
}

awaitable<bool> write_operation::rewrite_bad_copy(target& t, std::uint64_t upto) {
    t.bad_copy = true;
    t.differs_from = upto;
    co_return co_await start_writing(t, upto);
}

// Turns a comparing target into a writing one: on its own volume, from its own copy, which is right up to `upto`.
awaitable<bool> write_operation::start_writing(target& t, std::uint64_t upto) {
    auto writer = co_await t.where->volume->create(request_.hash, source_.size(), request_.until);
    if (!writer) {
        if (writer.error() == errc::cancelled) cancelled_ = writer.error();
        fail_target(t, writer.error());
        co_return false;
    }
    if (upto > 0 && !co_await copy_from(t, **writer, upto)) {
        if (!cancelled_) fail_target(t, error(errc::io_error));
        co_return false;
    }
    t.writer = std::move(*writer);
    co_return true;
}

// For each failed target the next candidate that the plan wants, fed with the first `upto` bytes from whoever has them,
// and with the `piece` after them that the others have got already.
awaitable<result<void>> write_operation::replace_failed(std::uint64_t upto, const const_slice* piece) {
    put_plan plan = plan_of_live_targets();
    for (const mount* const m : candidates_) {
        if (!plan.wants(*m)) continue;
        const bool tried = std::ranges::any_of(targets_, [&](const auto& t) { return t->where == m; });
        if (tried) continue;
        if (!co_await add_writer(*m)) {
            if (cancelled_) co_return std::unexpected(*cancelled_);
            continue;
        }
        target& fresh = *targets_.back();
        if (upto > 0 && !co_await copy_prefix(fresh, upto)) {
            if (cancelled_) co_return std::unexpected(*cancelled_);
            fail_target(fresh, error(errc::io_error));
            continue;
        }
        if (piece) {
            if (auto appended = co_await fresh.writer->append(*piece, request_.until); !appended) {
                if (appended.error() == errc::cancelled) co_return std::unexpected(std::move(appended.error()));
                fail_target(fresh, appended.error());
                continue;
            }
        }
        log::warning("a volume failed during a write; went on with another one",
                     {{"block", request_.hash.hex()}, {"mount", m->uuid}, {"copiedBytes", upto}});
        plan.add(*m);
    }
    if (!any_live()) co_return std::unexpected(nothing_stored());
    co_return result<void>{};
}

// Tries every holder of the first `upto` bytes in turn: live targets first, then what a failed writer can still read.
awaitable<bool> write_operation::copy_prefix(target& to, std::uint64_t upto) {
    for (const bool failed : {false, true}) {
        for (std::size_t i = 0; i < targets_.size(); ++i) {
            target& from = *targets_[i];
            if (&from == &to || from.failed != failed) continue;
            if (co_await copy_from(from, *to.writer, upto)) co_return true;
            if (cancelled_) co_return false;
            // A partial copy is of no use: begin again.
            auto fresh = co_await to.where->volume->create(request_.hash, source_.size(), request_.until);
            if (!fresh) co_return false;
            to.writer = std::move(*fresh);
        }
    }
    co_return false;
}

// Copies the first `upto` bytes of `from` and proves by the digest's chaining state that they are what the client sent.
// While the body arrives `upto` is a whole number of chunks, and so a waypoint of the digest.
awaitable<bool> write_operation::copy_from(target& from, volumes::block_writer& to, std::uint64_t upto) {
    std::unique_ptr<volumes::block_reader> reopened;
    volumes::block_reader* reader = from.writer ? nullptr : from.reader.get();
    if (from.committed) {
        auto opened = co_await from.where->volume->open(request_.hash, request_.until);
        if (!opened) co_return false;
        reopened = std::move(*opened);
        reader = reopened.get();
    }
    if (!reader && !from.writer) co_return false;
    digest::md5_stream check(store_.engine, {});
    std::uint64_t offset = 0;
    while (offset < upto) {
        auto into = co_await store_.copy_pool.acquire();
        if (!into) {
            cancelled_ = std::move(into.error());
            co_return false;
        }
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(into->size(), upto - offset));
        auto count = reader ? co_await reader->read_at(offset, into->subslice(0, want), request_.until)
                            : co_await from.writer->read_back(offset, into->subslice(0, want), request_.until);
        if (!count && count.error() == errc::cancelled) cancelled_ = std::move(count.error());
        if (!count || *count != want) co_return false;
        const const_slice piece = into->freeze(want);
        if (auto added = co_await check.update(piece); !added) {
            cancelled_ = std::move(added.error());
            co_return false;
        }
        if (auto appended = co_await to.append(piece, request_.until); !appended) {
            if (appended.error() == errc::cancelled)
                cancelled_ = std::move(appended.error());
            else
                note_failure(appended.error());
            co_return false;
        }
        offset += want;
    }
    if (digest_finished_) {
        auto whole = co_await check.finish();
        if (!whole) cancelled_ = std::move(whole.error());
        co_return whole && *whole == request_.hash;
    }
    auto drained = co_await check.drain();
    if (drained) drained = co_await digest_.drain();
    if (!drained) {
        cancelled_ = std::move(drained.error());
        co_return false;
    }
    const auto pieces = static_cast<std::size_t>(upto / segment::fine_bytes);
    co_return pieces == 0 || check.state() == digest_.waypoints()[pieces - 1];
}

awaitable<bool> write_operation::add_writer(const mount& m) {
    auto writer = co_await m.volume->create(request_.hash, source_.size(), request_.until);
    if (!writer) {
        if (writer.error() == errc::cancelled)
            cancelled_ = std::move(writer.error());
        else
            note_failure(writer.error());
        co_return false;
    }
    auto t = std::make_unique<target>();
    t->where = &m;
    t->writer = std::move(*writer);
    targets_.push_back(std::move(t));
    co_return true;
}

void write_operation::fail_target(target& t, const error& why) {
    t.failed = true;
    note_failure(why);
    log::warning("a volume could not store a block",
                 {{"block", request_.hash.hex()}, {"mount", t.where->uuid}, {"error", why.text}});
}

void write_operation::note_failure(const error& why) {
    if (why.code != errc::no_space) all_full_ = false;
}

put_plan write_operation::plan_of_live_targets() const {
    put_plan plan(request_.storage_classes);
    for (const auto& t : targets_)
        if (!t->failed) plan.add(*t->where);
    return plan;
}

bool write_operation::any_live() const {
    return std::ranges::any_of(targets_, [](const auto& t) { return !t->failed; });
}

error write_operation::nothing_stored() const {
    return error(all_full_ ? errc::no_space : errc::unavailable);
}

}  // namespace keepstore::store
