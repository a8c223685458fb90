#include "store/read/read_operation.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "store/read/verified_copy.hpp"
#include "store/verify/patchwork.hpp"
#include "store/verify/stored_bytes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace keepstore::store {

// A copy that fails in the middle and another mount's copy that takes over must agree on what was sent: the chaining
// state of MD5 at a boundary stands for everything before it. If the rest of the other copy leads from that state to
// the block's name, the client got the block's bytes (docs/ARCHITECTURE.md, "Failover in mid-stream").

awaitable<result<std::uint64_t>> read_operation::run() {
    const auto mounts = reading_order();
    verdict outcome = co_await send_from_one(mounts);
    while (outcome == verdict::bad_copy && may_be_patched()) {
        const std::uint64_t before = proven();
        outcome = co_await send_from_several(mounts);
        // Files that change while they are read may make a patchwork fail; another one must get further.
        if (proven() < before + digest::waypoints::stride_for(static_cast<std::size_t>(*request_.block.size))) break;
    }
    if (outcome == verdict::sent) co_return size_;
    co_return std::unexpected(std::move(failure_));
}

// A copy known to be bad comes last, so that a client that comes again gets the good one.
std::vector<const mount*> read_operation::reading_order() const {
    auto mounts = store_.mounts.in_read_order(request_.block.hash);
    std::vector<const mount*> known_bad;
    std::erase_if(mounts, [&](const mount* m) {
        const bool known = store_.bad_copy_log.knows(m->uuid, request_.block.hash);
        if (known) known_bad.push_back(m);
        return known;
    });
    mounts.insert(mounts.end(), known_bad.begin(), known_bad.end());
    return mounts;
}

// One copy after another, each as far as it goes.
awaitable<read_operation::verdict> read_operation::send_from_one(const std::vector<const mount*>& mounts) {
    bool failed_over = false;
    for (const mount* const m : mounts) {
        auto reader = co_await open(*m);
        if (!reader) {
            if (reader.error() == errc::cancelled) co_return give_up(std::move(reader.error()));
            remember(std::move(reader.error()));
            continue;
        }
        if (failure_.code != errc::not_found && !failed_over) {
            failed_over = true;
            store_.counters.failovers.add();
        }
        ++copies_;
        where_ = m;
        const verdict outcome = co_await send_copy(**reader);
        if (outcome == verdict::bad_copy) continue;
        co_return outcome;
    }
    co_return verdict::bad_copy;
}

// No copy is good, or none that can go on from what was sent; but where one is bad another one may be right. The copies
// are opened anew, since each was closed when it failed.
awaitable<read_operation::verdict> read_operation::send_from_several(const std::vector<const mount*>& mounts) {
    where_ = nullptr;
    const std::uint64_t size = *request_.block.size;
    const byte_range body = wanted(size);
    patchwork::copy_list copies;
    for (const mount* const m : mounts) {
        auto reader = co_await open(*m);
        if (reader)
            copies.push_back(std::move(*reader));
        else if (reader.error() == errc::cancelled)
            co_return give_up(std::move(reader.error()));
    }
    const auto candidates =
        co_await patchwork::gather_waypoints(copies, request_.block.hash, std::span(&size, 1), request_.until);
    if (!candidates) co_return give_up(candidates.error());
    // One copy's waypoints say what is right in another one: they are believed only if they lead to the block's name,
    // also for a range, and before anything of it is sent.
    for (const digest::waypoints& points : *candidates) {
        patchwork block(copies, points);
        const auto complete = co_await block.lay_out({store_.scratch_pool, store_.engine, limits::patchwork_units},
                                                     request_.block.hash, start_of(points, body), size, request_.until);
        if (!complete) co_return give_up(complete.error());
        if (!*complete) continue;
        verdict outcome = co_await send_verified(block, points);
        if (outcome == verdict::slow) {
            std::optional<digest::waypoints> known;
            outcome = co_await send_serially(block, known);
        }
        if (outcome == verdict::sent) store_.counters.patchworks.add();
        co_return outcome == verdict::undecided ? verdict::bad_copy : outcome;
    }
    co_return verdict::bad_copy;
}

// A HEAD says whether there is a good copy. Of a small block there is nothing but whole ones.
bool read_operation::may_be_patched() const {
    if (request_.head || copies_ < 2 || !has_waypoints(request_.block.size.value_or(0))) return false;
    return !request_.range || request_.range->resolve(*request_.block.size);
}

awaitable<result<std::unique_ptr<volumes::block_reader>>> read_operation::open(const mount& m) {
    if (auto now = m.volume->try_open(request_.block.hash)) co_return std::move(*now);
    volumes::open_hint hint{.size = request_.block.size};
    if (request_.range && hint.size && !request_.head) {
        if (const auto part = request_.range->resolve(*hint.size)) hint.part = {part->first, part->length};
    }
    co_return co_await m.volume->open_for(request_.block.hash, hint, request_.until);
}

awaitable<read_operation::verdict> read_operation::send_copy(volumes::block_reader& reader) {
    const std::uint64_t size = reader.size();
    if (size > limits::block_size_bytes_max) {
        co_return bad(fmt::format("stored size {} is over the block size limit", size), 0, error(errc::too_large));
    }
    // On GET, "+0" stands for the empty block only; a HEAD without a (positive) size takes what is there.
    const auto hint = request_.block.size;
    if (hint && *hint != size && !(request_.head && *hint == 0)) {
        co_return bad(fmt::format("stored size {} differs from the locator's size {}", size, *hint), 0,
                      error(errc::checksum_mismatch));
    }
    if (request_.head) co_return co_await check_only(reader);
    if (request_.range && !request_.range->resolve(size)) co_return give_up(error(errc::range_not_satisfiable));
    if (size <= limits::chunk_size_bytes) co_return co_await send_small(reader);
    co_return co_await send_large(reader);
}

byte_range read_operation::wanted(std::uint64_t size) const {
    if (!request_.range) return {0, size};
    return request_.range->resolve(size).value_or(byte_range{});
}

awaitable<read_operation::verdict> read_operation::check_only(volumes::block_reader& reader) {
    auto report = co_await check_copy(store_.request_pool, store_.engine, reader, request_.block.hash,
                                      store_.read_window.segments_per_reader(), request_.until);
    if (report.verdict == copy_report::outcome::cancelled) co_return give_up(std::move(report.why));
    if (report.verdict != copy_report::outcome::good) co_return unusable(report.offset, std::move(report.why));
    if (report.false_alarm) store_.counters.false_alarms.add();
    if (report.missing_waypoints && report.attributes_supported) {
        co_await keep_waypoints(reader, *report.missing_waypoints);
    }
    if (!co_await begin(reader.size())) co_return verdict::gave_up;
    co_return verdict::sent;
}

awaitable<read_operation::verdict> read_operation::send_small(volumes::block_reader& reader) {
    const auto size = static_cast<std::size_t>(reader.size());
    const_slice bytes;
    if (size > 0) {
        auto into = co_await store_.request_pool.acquire();
        if (!into) co_return give_up(std::move(into.error()));
        auto count = co_await read_stored(reader, 0, into->subslice(0, size), request_.until);
        if (!count) {
            if (count.error() == errc::cancelled) co_return give_up(std::move(count.error()));
            co_return unusable(0, std::move(count.error()));
        }
        if (*count != size) co_return bad("is shorter than its size", *count, error(errc::checksum_mismatch));
        bytes = into->freeze(size);
    }
    md5_digest digest;
    if (size <= limits::digest_inline_bytes_max) {
        digest = digest::md5_of(bytes.bytes);
    } else {
        digest::md5_stream stream(store_.engine, {});
        if (auto added = co_await stream.update(bytes); !added) co_return give_up(std::move(added.error()));
        auto finished = co_await stream.finish();
        if (!finished) co_return give_up(std::move(finished.error()));
        digest = *finished;
    }
    if (digest != request_.block.hash) co_return unusable(0, error(errc::checksum_mismatch));
    if (!co_await begin(size)) co_return verdict::gave_up;
    const byte_range body = wanted(size);
    if (body.length > 0) {
        auto written = co_await sink_.write(bytes.subslice(body.first, body.length));
        if (!written) co_return give_up(std::move(written.error()));
    }
    co_return verdict::sent;
}

awaitable<read_operation::verdict> read_operation::send_large(volumes::block_reader& reader) {
    bool attributes = true;
    const auto points = co_await load_waypoints(reader, request_.block.hash, request_.until, &attributes);
    std::optional<digest::waypoints> found;  // Right ones, which the copy lacks.
    verdict outcome = verdict::undecided;
    if (points) {
        outcome = co_await send_verified(reader, *points);
        if (outcome == verdict::slow) outcome = co_await send_serially(reader, found);
    } else if (!request_.range && copies_ == 1 && !store_.bad_copy_log.knows(where_->uuid, request_.block.hash)) {
        // Where a copy is known to be bad nothing leaves unproven: others may be bad, too, and together still good.
        outcome = co_await send_serially(reader, found);
    }
    if (outcome == verdict::undecided) {
        outcome = co_await find_waypoints(reader, found);
        if (found) {
            if (points) store_.counters.false_alarms.add();
            outcome = co_await send_verified(reader, *found);
            if (outcome == verdict::slow) outcome = co_await send_serially(reader, found);
            if (outcome == verdict::undecided) {
                outcome = bad("changes while it is read", suspect_, error(errc::checksum_mismatch));
            }
        }
    }
    if (found && attributes && outcome != verdict::bad_copy) co_await keep_waypoints(reader, *found);
    co_return outcome;
}

// Hashes while sending, from what is proven on; the last piece waits until the digest agrees.
awaitable<read_operation::verdict> read_operation::send_serially(volumes::block_reader& reader,
                                                                 std::optional<digest::waypoints>& found) {
    const std::uint64_t size = reader.size();
    const proven_state start = begun_ ? proof_.value_or(proven_state{}) : proven_state{};
    digest::md5_stream stream(store_.engine, {.queue_bytes = store_.request_pool.request_queue_bytes(),
                                              .waypoint_stride = segment::fine_bytes,
                                              .from = start.state,
                                              .offset = start.offset});
    const_slice last;
    std::optional<error> unreadable;
    bool slow = false;
    for (std::uint64_t offset = start.offset; offset < size && !slow;) {
        if (begun_) {
            if (auto ready = co_await sink_.wait_ready(); !ready) co_return give_up(std::move(ready.error()));
        }
        auto into = co_await store_.request_pool.acquire();
        if (!into) co_return give_up(std::move(into.error()));
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(into->size(), size - offset));
        auto count = co_await read_stored(reader, offset, into->subslice(0, want), request_.until);
        if (!count || *count != want) {
            if (!count && count.error() == errc::cancelled) co_return give_up(std::move(count.error()));
            unreadable = count ? error(errc::checksum_mismatch) : std::move(count.error());
            break;
        }
        const_slice piece = into->freeze(want);
        *into = {};
        stream.set_queue_bytes(store_.request_pool.request_queue_bytes());
        if (auto added = co_await stream.update(piece); !added) co_return give_up(std::move(added.error()));
        // What left already is only hashed.
        if (begun_ && sent_ > offset) piece = piece.subslice(std::min<std::size_t>(want, sent_ - offset));
        offset += want;
        if (offset == size) {
            last = std::move(piece);
            break;
        }
        const bool begun = co_await begin(size);
        if (!begun) co_return verdict::gave_up;
        if (reader.streams()) {
            // Holds one chunk while the client takes its time.
            if (auto written = co_await sink_.write(piece); !written) co_return give_up(std::move(written.error()));
            sent_ += piece.size();
            continue;
        }
        const auto taken = co_await sink_.write_some(piece, byte_sink::when_full::wait_briefly);
        if (!taken) co_return give_up(taken.error());
        sent_ += *taken;
        slow = *taken < piece.size();
    }
    result<md5_digest> digest = md5_digest{};
    if (last.size() > 0) {
        digest = co_await stream.finish();
    } else if (auto drained = co_await stream.drain(); !drained) {
        digest = std::unexpected(std::move(drained.error()));
    }
    if (!digest) co_return give_up(std::move(digest.error()));
    const auto states = stream.waypoints();
    if (last.size() > 0 && *digest == request_.block.hash) {
        if (start.offset == 0) {
            found = digest::waypoints::from_capture(static_cast<std::size_t>(size), segment::fine_bytes, states);
        }
        if (!co_await begin(size)) co_return verdict::gave_up;
        auto written = co_await sink_.write(last);
        if (!written) co_return give_up(std::move(written.error()));
        co_return verdict::sent;
    }
    if (begun_) {
        const auto pieces =
            static_cast<std::size_t>((std::max(sent_, start.offset) - start.offset) / segment::fine_bytes);
        proof_ = pieces == 0 ? start : proven_state{start.offset + pieces * segment::fine_bytes, states[pieces - 1]};
    }
    // A reader that does not keep up: with the states of the whole block it can be served without holding memory.
    if (slow) co_return verdict::undecided;
    co_return unusable(sent_, unreadable ? std::move(*unreadable) : error(errc::checksum_mismatch));
}

// The waypoints of a copy that has none, or none that agree with its bytes: from all of its bytes, if they are the
// block.
awaitable<read_operation::verdict> read_operation::find_waypoints(volumes::block_reader& reader,
                                                                  std::optional<digest::waypoints>& found) {
    auto pass = co_await hash_serially(store_.request_pool, store_.engine, reader, request_.until);
    if (!pass && pass.error() == errc::cancelled) co_return give_up(std::move(pass.error()));
    if (!pass) co_return unusable(suspect_, std::move(pass.error()));
    if (pass->digest != request_.block.hash) co_return unusable(suspect_, error(errc::checksum_mismatch));
    store_.bad_copy_log.forget(where_->uuid, request_.block.hash);  // If it was bad, it was replaced.
    if (proof_ && proof_->offset > 0) {
        const auto& state = pass->states[static_cast<std::size_t>(proof_->offset / segment::fine_bytes) - 1];
        if (state != proof_->state) {
            // This copy is good; what was sent was not, or they collide. It comes too late for this client.
            remember(error(errc::checksum_mismatch));
            co_return verdict::bad_copy;
        }
    }
    found = fresh_waypoints(reader, *pass);
    co_return verdict::undecided;
}

// Where what is still to be sent must go on from: what is proven, or else believed of the bytes before a range.
proven_state read_operation::start_of(const digest::waypoints& points, const byte_range& body) const {
    if (begun_) return proof_.value_or(proven_state{});
    const auto first = static_cast<std::size_t>(body.first / points.stride());
    return {first * points.stride(), points.state_before(first)};
}

awaitable<read_operation::verdict> read_operation::send_verified(volumes::block_reader& reader,
                                                                 const digest::waypoints& points) {
    const byte_range body = wanted(reader.size());
    const byte_range left = begun_ ? byte_range{sent_, body.end() - sent_} : body;
    verified_copy copy(store_, reader, points, request_.block.hash, left, start_of(points, body), request_.until);
    verdict outcome = verdict::sent;
    if (!begun_) {
        auto right = co_await copy.look_ahead();
        if (!right) outcome = stopped(copy, std::move(right.error()));
    }
    if (outcome == verdict::sent && !co_await begin(reader.size())) outcome = verdict::gave_up;
    if (outcome == verdict::sent) outcome = co_await send_from(copy, reader.streams());
    if (begun_) proof_ = copy.proof();
    co_return outcome;
}

awaitable<read_operation::verdict> read_operation::send_from(verified_copy& copy, bool streams) {
    using clock = std::chrono::steady_clock;
    while (true) {
        auto piece = co_await copy.next();
        if (!piece) co_return stopped(copy, std::move(piece.error()));
        const std::size_t size = piece->size();
        if (size == 0) co_return verdict::sent;
        const auto taken = co_await sink_.write_some(
            *piece, copy.sparing() ? byte_sink::when_full::give_up : byte_sink::when_full::wait_briefly);
        if (!taken) co_return give_up(taken.error());
        copy.advance(*taken);
        sent_ = copy.position();
        if (*taken == size) continue;
        *piece = {};
        if (streams && !request_.range) co_return verdict::slow;
        copy.shed();
        const auto since = clock::now();
        if (auto ready = co_await sink_.wait_ready(); !ready) co_return give_up(std::move(ready.error()));
        if (clock::now() - since >= limits::slow_reader_wait) copy.reader_was_slow();
    }
}

// What follows from the failure of a copy in the middle.
read_operation::verdict read_operation::stopped(const verified_copy& copy, error why) {
    suspect_ = copy.suspect();
    if (why == errc::cancelled) return give_up(std::move(why));
    if (why == errc::checksum_mismatch) return verdict::undecided;
    return unusable(suspect_, std::move(why));
}

// Stores waypoints with a copy that has none or wrong ones, if the mount may be written to.
awaitable<void> read_operation::keep_waypoints(volumes::block_reader& copy, const digest::waypoints& points) {
    if (!where_->allow_write) co_return;
    const bool stored = co_await store_waypoints(copy, request_.block.hash, points, deadline::never());
    if (stored) store_.counters.waypoints_added.add();
}

awaitable<bool> read_operation::begin(std::uint64_t size) {
    if (begun_) co_return true;
    begun_ = true;
    size_ = size;
    const byte_range body = wanted(size);
    sent_ = body.first;
    auto begun = co_await sink_.begin(size, body);
    if (!begun) give_up(std::move(begun.error()));
    co_return begun.has_value();
}

read_operation::verdict read_operation::give_up(error why) {
    failure_ = std::move(why);
    return verdict::gave_up;
}

read_operation::verdict read_operation::unusable(std::uint64_t offset, error why) {
    const bool wrong = why == errc::checksum_mismatch;
    if (wrong) store_.counters.bad_segments.add();
    return bad(wrong ? "has the wrong content" : "cannot be read", offset, std::move(why));
}

read_operation::verdict read_operation::bad(std::string_view what, std::uint64_t offset, error why) {
    if (where_) {
        store_.counters.bad_copies.add();
        store_.bad_copy_log.report(where_->uuid, request_.block.hash, what, offset);
    }
    remember(std::move(why));
    return verdict::bad_copy;
}

// What the client is told when no copy was good: any failure says more than "not found" (docs/interface.md 8.6), and of
// several the first counts.
void read_operation::remember(error why) {
    if (why == errc::not_found) return;
    if (failure_ == errc::not_found) failure_ = std::move(why);
}

}  // namespace keepstore::store
