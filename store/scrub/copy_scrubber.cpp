#include "store/scrub/copy_scrubber.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "store/limits.hpp"
#include "store/outage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::store {
namespace {

deadline memory_deadline() {
    return deadline::in(limits::scrub_memory_timeout);
}

// Nothing is known of a copy for which there was no memory: errc::timeout and unavailable are tried again later.
copy_report without_memory(error why) {
    using outcome = copy_report::outcome;
    return {.result = why == errc::cancelled ? outcome::cancelled : outcome::unreadable, .why = std::move(why)};
}

}  // namespace

awaitable<result<std::vector<bool>>> copy_scrubber::scrub_batch(const verify_batch& batch) {
    const auto copies = batch.copies();
    std::vector<bool> good(copies.size(), false);
    {
        KS_CO_TRY(auto memory, co_await tools_.check_pool.take(limits::scrub_lanes, memory_deadline()));
        auto verified = co_await batch.verify({memory, tools_.store.engine}, *where_.volume, rules_);
        if (!verified && verified.error() == errc::cancelled) co_return fail(errc::cancelled);
        if (verified) good = *std::move(verified);
    }
    const auto good_count = static_cast<std::uint64_t>(std::ranges::count(good, true));
    if (good_count > 0) unreadable_in_a_row_ = 0;
    tools_.record.count(&scrub_counts::blocks, good_count);
    for (std::size_t i = 0; i < copies.size(); ++i) {
        if (good[i]) tools_.record.settled(copies[i].name);
    }
    co_return good;
}

awaitable<result<void>> copy_scrubber::scrub(const volumes::block_info& listed) {
    const md5_digest& name = listed.name;
    auto seen = listed.mtime;
    unsigned attempts = 0;
    unsigned changes = 0;
    bool counted = false;
    while (true) {
        finding found = co_await inspect(name);
        if (found.is == state::cancelled) co_return fail(errc::cancelled);
        if (found.is == state::good || found.is == state::gone) {
            unreadable_in_a_row_ = 0;
            tools_.record.count(found.is == state::good ? &scrub_counts::blocks : &scrub_counts::vanished);
            tools_.record.settled(name);
            co_return success();
        }
        if (is_outage(found.why)) {
            if (++attempts == limits::scrub_attempts_max)
                co_return fail(found.why.code, "does not respond: " + found.why.text);
            if (const bool slept = co_await back_off(attempts); !slept) co_return fail(errc::cancelled);
            continue;
        }
        // A copy that was replaced or trashed while it was being read is not counted as bad.
        const auto now = co_await where_.volume->mtime(name, deadline::never());
        if (!now && now.error() == errc::cancelled) co_return fail(errc::cancelled);
        const bool gone = !now && now.error() == errc::not_found;
        if (gone || (now && *now != seen)) {
            if (now) seen = *now;
            if (!gone && ++changes <= limits::scrub_changes_max) continue;
            tools_.record.count(&scrub_counts::vanished);
            tools_.record.settled(name);
            co_return success();
        }

        if (found.is == state::unreadable && ++unreadable_in_a_row_ == limits::scrub_unreadable_in_a_row_max)
            co_return fail(errc::io_error, "cannot be read: " + found.why.text);
        if (found.is == state::bad) unreadable_in_a_row_ = 0;
        if (!std::exchange(counted, true)) tools_.store.counters.bad_copies.add();
        tools_.store.bad_copy_log.report(where_.uuid, name, found.problem, found.offset);
        const auto repaired = co_await repair(name, seen);
        if (repaired.result == repair_report::outcome::cancelled) co_return fail(errc::cancelled);
        if (repaired.result == repair_report::outcome::superseded && ++changes <= limits::scrub_changes_max) {
            const auto after = co_await where_.volume->mtime(name, deadline::never());
            if (after) seen = *after;
            continue;
        }
        tools_.record.count(&scrub_counts::blocks);
        tools_.record.count(found.is == state::bad ? &scrub_counts::bad : &scrub_counts::unreadable);
        if (repaired.result == repair_report::outcome::repaired) {
            record_repaired(name, repaired);
        } else {
            tools_.record.irreparable({.block = name,
                                       .size = found.size,
                                       .offset = found.offset,
                                       .problem = found.problem + "; " + repaired.why,
                                       .first_seen = tools_.clock.wall()});
        }
        co_return success();
    }
}

void copy_scrubber::record_repaired(const md5_digest& name, const repair_report& report) {
    tools_.store.counters.repaired_copies.add();
    tools_.store.bad_copy_log.forget(where_.uuid, name);
    tools_.record.count(&scrub_counts::repaired);
    tools_.record.settled(name);
    log::info("scrub: a bad copy was replaced by a good one",
              {{"block", name.hex()}, {"mount", where_.uuid}, {"source", report.source}});
}

awaitable<copy_scrubber::finding> copy_scrubber::inspect(const md5_digest& name) {
    using outcome = copy_report::outcome;
    finding out;
    auto opened = co_await where_.volume->open(name, deadline::never());
    if (!opened) {
        out.why = std::move(opened.error());
        out.is = out.why == errc::not_found   ? state::gone
                 : out.why == errc::cancelled ? state::cancelled
                                              : state::unreadable;
        out.problem = "cannot be read: " + out.why.text;
        co_return out;
    }
    scrub_reader copy(std::move(*opened), rules_);
    out.size = copy.size();
    if (out.size > limits::block_size_bytes_max) {
        out.is = state::bad;
        out.problem = fmt::format("stored size {} is over the block size limit", out.size);
        out.why = errc::checksum_mismatch;
        co_return out;
    }
    auto report = co_await verify(copy, name);
    out.offset = report.offset;
    switch (report.result) {
        case outcome::good:
            if (report.missing_waypoints && report.attributes_supported && where_.allow_write) {
                const bool stored = co_await store_waypoints(copy, name, *report.missing_waypoints, deadline::never());
                if (stored) tools_.record.count(&scrub_counts::waypoints_written);
                if (stored) tools_.store.counters.waypoints_added.add();
            }
            if (report.false_alarm) tools_.store.counters.false_alarms.add();
            break;
        case outcome::bad:
            out.is = state::bad;
            out.problem = "has the wrong content";
            break;
        case outcome::unreadable:
            out.is = state::unreadable;
            out.problem = "cannot be read: " + report.why.text;
            break;
        case outcome::cancelled:
            out.is = state::cancelled;
            break;
    }
    out.why = std::move(report.why);
    co_return out;
}

awaitable<copy_report> copy_scrubber::verify(volumes::block_reader& copy, const md5_digest& name) {
    if (const auto points = co_await load_waypoints(copy, name, deadline::never())) {
        auto memory = co_await tools_.check_pool.take(limits::scrub_lanes, memory_deadline());
        if (!memory) co_return without_memory(std::move(memory.error()));
        const auto agree =
            co_await verify_segments({*memory, tools_.store.engine}, copy, *points, name, deadline::never());
        if (agree && *agree) co_return copy_report{};
        if (!agree && agree.error() == errc::cancelled) co_return without_memory(agree.error());
        // Either the copy is bad or only its waypoints are. The slower check below tells, and where.
    }
    auto memory = co_await tools_.check_pool.take(limits::verify_lease_chunks, memory_deadline());
    if (!memory) co_return without_memory(std::move(memory.error()));
    co_return co_await verify_copy(*memory, tools_.store.engine, copy, name, 1, deadline::never());
}

awaitable<repair_report> copy_scrubber::repair(const md5_digest& name, volumes::block_time seen) {
    if (!where_.allow_write) co_return repair_report{.why = "the mount is read-only"};
    auto memory = co_await tools_.repair_pool.take(limits::copy_lease_chunks, memory_deadline());
    if (!memory && memory.error() != errc::cancelled) co_return repair_report{.why = memory.error().text};
    if (!memory) co_return repair_report{.result = repair_report::outcome::cancelled};
    const repair_tools with{*memory, tools_.store.engine, rules_};
    co_return co_await repair_copy(with, where_, sources_, name, seen);
}

awaitable<bool> copy_scrubber::back_off(unsigned attempt) {
    co_return co_await tools_.clock.sleep(limits::scrub_pause_min * (1U << (attempt - 1)));
}

}  // namespace keepstore::store
