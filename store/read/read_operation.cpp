#include "store/read/read_operation.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/utc_text.hpp"
#include "digest/limits.hpp"
#include "digest/md5.hpp"
#include "store/outage.hpp"
#include "store/verify/stored_bytes.hpp"
#include "store/verify/verify_copy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::store {

awaitable<result<std::uint64_t>> read_operation::run() {
    const auto mounts = reading_order();
    std::vector<const mount*> given_up;
    step next = step::corrupt;
    for (std::size_t i = 0; i < mounts.size() && next == step::corrupt; ++i) {
        const bool alternative = std::any_of(mounts.begin() + static_cast<std::ptrdiff_t>(i) + 1, mounts.end(),
                                             [](const mount* m) { return m->takes_reads(); });
        until_ = request_.until.ending_at_stall(alternative);
        latest_error_ = errc::not_found;
        next = co_await send_copy(*mounts[i]);
        if (alternative && latest_error_ == errc::unavailable) given_up.push_back(mounts[i]);
    }
    // The alternatives had no good copy: now the stalled volumes are waited for.
    until_ = request_.until;
    for (std::size_t i = 0; i < given_up.size() && next == step::corrupt; ++i) next = co_await send_copy(*given_up[i]);
    if (next == step::corrupt && may_be_stitched()) next = co_await send_stitched(mounts);
    if (next == step::done) co_return size_;
    if (failure_ == errc::checksum_mismatch) log_corrupt();
    if (culprit_ && is_outage(failure_)) log_outage();
    co_return std::unexpected(std::move(failure_));
}

// Copies known to be corrupt come last, so that a client that tries again gets the good one.
std::vector<const mount*> read_operation::reading_order() const {
    auto mounts = store_.mounts.in_read_order(request_.block.hash);
    std::vector<const mount*> corrupt;
    for (const mount* const m : mounts)
        if (store_.bad_copy_log.knows(m->uuid, request_.block.hash)) corrupt.push_back(m);
    for (const mount* const m : corrupt) std::erase(mounts, m);
    mounts.insert(mounts.end(), corrupt.begin(), corrupt.end());
    return mounts;
}

awaitable<result<std::unique_ptr<volumes::block_reader>>> read_operation::open(const mount& m) {
    if (auto now = m.volume->try_open(request_.block.hash)) co_return std::move(*now);
    volumes::open_hint hint{.size = request_.block.size};
    if (request_.range && hint.size && !request_.head) {
        if (const auto part = request_.range->resolve(*hint.size)) hint.part = {part->first, part->length};
    }
    co_return co_await m.volume->open_for(request_.block.hash, hint, until_);
}

awaitable<read_operation::step> read_operation::send_copy(const mount& m) {
    const auto reader = co_await open(m);
    if (!reader) {
        if (reader.error() == errc::cancelled) co_return abandon(reader.error());
        keep_first_error(reader.error());
        co_return step::corrupt;
    }
    if (failure_ != errc::not_found && !std::exchange(failed_over_, true)) store_.counters.failovers.add();
    ++copies_;
    where_ = &m;
    suspect_ = 0;
    volumes::block_reader& copy = **reader;
    const std::uint64_t size = copy.size();
    if (size > limits::block_size_bytes_max) {
        co_return mark_corrupt(0, errc::too_large, fmt::format("stored size {} is over the block size limit", size));
    }
    if (auto problem = implausible_size(size)) {
        co_return mark_corrupt(0, errc::checksum_mismatch, std::move(*problem));
    }
    if (request_.head) co_return co_await verify_only(copy);
    if (request_.range && !request_.range->resolve(size)) co_return abandon(errc::range_not_satisfiable);
    if (size <= limits::chunk_size_bytes) co_return co_await send_small(copy);

    copy_waypoints points;
    points.stored = co_await load_waypoints(copy, request_.block.hash, until_, &points.supported);
    step next = step::rehash;
    if (points.stored)
        next = co_await send_verified(copy, *points.stored);
    else if (may_stream_unproven(copy, points))
        next = step::stream;
    while (next == step::stream || next == step::rehash) {
        if (next == step::stream) {
            next = co_await send_streaming(copy, points);
        } else if (!points.computed) {
            next = co_await rehash(copy, points);
        } else {
            next = mark_corrupt(suspect_, errc::checksum_mismatch, "changes while it is read");
        }
    }
    co_return next;
}

// On GET, "+0" stands for the empty block only; a HEAD without a (positive) size takes any size.
std::optional<std::string> read_operation::implausible_size(std::uint64_t size) const {
    const auto hint = request_.block.size;
    if (!hint || *hint == size || (request_.head && *hint == 0)) return std::nullopt;
    return fmt::format("stored size {} differs from the locator's size {}", size, *hint);
}

// Where waypoints can be kept a copy without them is hashed before its first byte is sent, once. Elsewhere it is hashed
// while it is sent; but not if it is known to be corrupt: the others may be as well, and stitched they may still be
// good.
bool read_operation::may_stream_unproven(const volumes::block_reader& copy, const copy_waypoints& points) const {
    const bool once = points.supported && where_->allow_write && !copy.streams();
    return !once && !request_.range && copies_ == 1 && !store_.bad_copy_log.knows(where_->uuid, request_.block.hash);
}

awaitable<read_operation::step> read_operation::verify_only(volumes::block_reader& copy) {
    auto report = co_await verify_copy(store_.request_pool, store_.engine, copy, request_.block.hash,
                                       store_.read_window.segments_per_reader(), until_);
    if (report.result == copy_report::outcome::cancelled) co_return abandon(std::move(report.why));
    if (report.result != copy_report::outcome::good) co_return mark_corrupt(report.offset, std::move(report.why));
    if (report.false_alarm) store_.counters.false_alarms.add();
    if (report.missing_waypoints && report.attributes_supported) {
        co_await keep_waypoints(copy, {.computed = std::move(report.missing_waypoints)});
    }
    if (!co_await begin(copy.size())) co_return step::abandoned;
    co_return step::done;
}

awaitable<read_operation::step> read_operation::send_small(volumes::block_reader& copy) {
    const auto size = static_cast<std::size_t>(copy.size());
    const_slice bytes;
    if (size > 0) {
        const auto into = co_await store_.request_pool.acquire(request_.until);
        if (!into) co_return abandon(into.error());
        const auto count = co_await read_stored(copy, 0, into->subslice(0, size), until_);
        if (!count) co_return mark_corrupt(0, count.error());
        if (*count != size) co_return mark_corrupt(*count, errc::checksum_mismatch, "is shorter than its size");
        bytes = into->freeze(size);
    }
    md5_digest digest;
    if (size <= limits::digest_inline_bytes_max) {
        digest = digest::md5_of(bytes.bytes);
    } else {
        digest::md5_stream hash(store_.engine, {});
        if (const auto added = co_await hash.update(bytes); !added) co_return abandon(added.error());
        const auto finished = co_await hash.finish();
        if (!finished) co_return abandon(finished.error());
        digest = *finished;
    }
    if (digest != request_.block.hash) co_return mark_corrupt(0, errc::checksum_mismatch);
    if (!co_await begin(size)) co_return step::abandoned;
    const byte_range body = body_of(size);
    if (body.length > 0) {
        const auto written = co_await sink_.write(bytes.subslice(body.first, body.length));
        if (!written) co_return abandon(written.error());
    }
    co_return step::done;
}

// REHASH, and VERIFIED by the waypoints that it gave.
awaitable<read_operation::step> read_operation::rehash(volumes::block_reader& copy, copy_waypoints& points) {
    const auto pass = co_await hash_serially(store_.request_pool, store_.engine, copy, until_);
    if (!pass) co_return mark_corrupt(suspect_, pass.error());
    if (pass->digest != request_.block.hash) co_return mark_corrupt(suspect_, errc::checksum_mismatch);
    store_.bad_copy_log.forget(where_->uuid, request_.block.hash);  // If it was corrupt, it has been replaced.
    if (proof_ && proof_->offset > 0) {
        const auto& state = pass->states[static_cast<std::size_t>(proof_->offset / segment::fine_bytes) - 1];
        if (state != proof_->state) {
            // The copy is good, but what the client has is not, or the two collide. Too late for this client.
            if (keep_first_error(errc::checksum_mismatch)) {
                culprit_ = {where_, proof_->offset, "continues other bytes than were sent", clock::now()};
            }
            co_return step::corrupt;
        }
    }
    points.computed = fresh_waypoints(copy, *pass);
    if (!points.computed) co_return abandon(errc::io_error);  // Cannot be: it was hashed at every possible stride.
    if (points.stored) store_.counters.false_alarms.add();
    co_await keep_waypoints(copy, points);
    co_return co_await send_verified(copy, *points.computed);
}

// Stores the computed waypoints with a copy that has none or wrong ones, if the mount may be written to.
awaitable<void> read_operation::keep_waypoints(volumes::block_reader& copy, const copy_waypoints& points) {
    if (!where_->allow_write || !points.supported) co_return;
    const bool stored =
        co_await store_waypoints(copy, request_.block.hash, *points.computed, deadline::never().ending_at_stall());
    if (stored) store_.counters.waypoints_added.add();
}

awaitable<bool> read_operation::begin(std::uint64_t size) {
    if (begun_) co_return true;
    begun_ = true;
    size_ = size;
    const byte_range body = body_of(size);
    sent_ = body.first;
    const auto begun = co_await sink_.begin(size, body);
    if (!begun) abandon(begun.error());
    co_return begun.has_value();
}

byte_range read_operation::body_of(std::uint64_t size) const {
    if (!request_.range) return {0, size};
    return request_.range->resolve(size).value_or(byte_range{});
}

read_operation::step read_operation::abandon(error why) {
    failure_ = std::move(why);
    culprit_.reset();
    return step::abandoned;
}

read_operation::step read_operation::mark_corrupt(std::uint64_t offset, error why, std::string problem) {
    if (why == errc::cancelled) return abandon(std::move(why));
    if (is_outage(why) || why == errc::not_found) {
        if (keep_first_error(why) && where_) culprit_ = {where_, offset, std::move(why.text), clock::now()};
        return step::corrupt;
    }
    if (problem.empty()) {
        const bool wrong = why == errc::checksum_mismatch;
        if (wrong) store_.counters.bad_segments.add();
        problem = wrong ? "has the wrong content" : "cannot be read";
    }
    if (!where_) {
        keep_first_error(std::move(why));
        return step::corrupt;
    }
    store_.counters.bad_copies.add();
    const auto known_since = store_.bad_copy_log.report(where_->uuid, request_.block.hash, problem, offset);
    if (keep_first_error(std::move(why))) culprit_ = {where_, offset, std::move(problem), known_since};
    return step::corrupt;
}

bool read_operation::keep_first_error(error why) {
    latest_error_ = why.code;
    if (why == errc::not_found || failure_ != errc::not_found) return false;
    failure_ = std::move(why);
    return true;
}

// One line for each request that fails like this (502, or cut short); bad_copy_log writes one for each copy, once.
void read_operation::log_corrupt() const {
    const corrupt_copy first = culprit_.value_or(corrupt_copy{});
    log::warning("no good copy of a block",
                 {{"RequestID", request_.request_id},
                  {"block", request_.block.hash.hex()},
                  {"mount", first.where ? std::string_view(first.where->uuid) : std::string_view()},
                  {"offset", first.offset},
                  {"problem", fmt::format("corrupt (known since {}): {}", utc_text(first.known_since), first.problem)},
                  {"sent", sent_}});
}

// One line for each request that fails like this (503, or cut short): what is known of the copy has not changed.
void read_operation::log_outage() const {
    log::warning("a stored copy could not be read: its volume does not respond", {{"RequestID", request_.request_id},
                                                                                  {"block", request_.block.hash.hex()},
                                                                                  {"mount", culprit_->where->uuid},
                                                                                  {"offset", culprit_->offset},
                                                                                  {"error", culprit_->problem},
                                                                                  {"sent", sent_}});
}

}  // namespace keepstore::store
