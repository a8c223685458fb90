#include "store/scrub/scrub_repair.hpp"

#include "base/limits.hpp"
#include "store/limits.hpp"
#include "store/verify/stitched_copy.hpp"
#include "store/verify/verify_copy.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace keepstore::store {
namespace {

using outcome = repair_report::outcome;
using attribute = std::optional<std::pair<std::string, std::vector<std::byte>>>;

enum class copied {
    good,
    source_bad,
    target_failed,
    cancelled,
};

struct copy_outcome {
    copied state = copied::good;
    std::string why;
    attribute waypoints;
};

copy_outcome stopped_by(copied whose, const error& why) {
    return {why == errc::cancelled ? copied::cancelled : whose, why.text, {}};
}

// Copies and hashes concurrently. Only if the outcome is good do the bytes written match the block's MD5.
awaitable<copy_outcome> copy_verified(const repair_tools& tools, volumes::block_reader& from, volumes::block_writer& to,
                                      const md5_digest& block, deadline until) {
    to.set_queue_bytes(limits::chunk_size_bytes);
    digest::md5_stream hash(tools.engine, {.queue_bytes = limits::chunk_size_bytes,
                                           .waypoint_stride = digest::waypoints::stride_bytes_min});
    for (std::uint64_t offset = 0; offset < from.size();) {
        auto chunk = co_await tools.memory.acquire(until);
        if (!chunk) co_return stopped_by(copied::target_failed, chunk.error());
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(chunk->size(), from.size() - offset));
        const auto got = co_await from.read_at(offset, chunk->subslice(0, want), until);
        if (!got) co_return stopped_by(copied::source_bad, got.error());
        if (*got != want) co_return copy_outcome{copied::source_bad, "is shorter than its size", {}};
        const const_slice piece = chunk->freeze(want);
        if (auto added = co_await hash.update(piece); !added) {
            co_return stopped_by(copied::target_failed, added.error());
        }
        if (auto added = co_await to.append(piece, until); !added) {
            co_return stopped_by(copied::target_failed, added.error());
        }
        offset += want;
    }
    const auto digest = co_await hash.finish();
    if (!digest) co_return stopped_by(copied::target_failed, digest.error());
    if (*digest != block) co_return copy_outcome{copied::source_bad, "has the wrong content", {}};
    copy_outcome out;
    if (const auto points = fresh_waypoints(from, {.digest = *digest, .states = hash.waypoints()})) {
        out.waypoints.emplace(std::string(waypoints_attribute), points->encode(block));
    }
    co_return out;
}

repair_report not_replaced(const error& why) {
    if (why == errc::cancelled) return {.result = outcome::cancelled};
    return {.why = "cannot be replaced: " + why.text};
}

struct repair_job {
    const repair_tools& tools;
    const mount& where;
    const md5_digest& block;
    volumes::block_time seen;
};

// \returns nothing if the source is bad: `why` has the reason then, and the next source is to be tried.
awaitable<std::optional<repair_report>> replace(const repair_job& job, volumes::block_reader& source, std::string& why,
                                                deadline until) {
    auto writer = co_await job.where.volume->create(job.block, source.size(), until);
    if (!writer) co_return not_replaced(writer.error());
    auto copy = co_await copy_verified(job.tools, source, **writer, job.block, until);
    switch (copy.state) {
        case copied::good:
            break;
        case copied::source_bad:
            why = std::move(copy.why);
            co_return std::nullopt;
        case copied::target_failed:
            co_return repair_report{.why = "cannot be replaced: " + copy.why};
        case copied::cancelled:
            co_return repair_report{.result = outcome::cancelled};
    }
    // A block that was trashed meanwhile must not be brought back, nor a new copy be replaced.
    const auto now = co_await job.where.volume->mtime(job.block, until);
    if (now ? *now != job.seen : now.error() == errc::not_found) {
        co_return repair_report{.result = outcome::superseded, .why = "it was touched or replaced meanwhile"};
    }
    if (!now) co_return not_replaced(now.error());
    auto committed = co_await (*writer)->commit(std::move(copy.waypoints), until);
    if (!committed) co_return not_replaced(committed.error());
    co_return repair_report{.result = outcome::repaired};
}

// Stitches a copy together from bad ones, if each segment of the block is good in one of them. It is verified like any
// other source before it replaces the bad copy.
awaitable<std::optional<repair_report>> replace_with_parts(const repair_job& job,
                                                           const stitched_copy::copy_list& copies) {
    const auto until = deadline::in(limits::scrub_repair_timeout);
    std::vector<std::uint64_t> lengths;
    for (const auto& copy : copies) {
        if (std::ranges::find(lengths, copy->size()) == lengths.end()) lengths.push_back(copy->size());
    }
    const auto candidates = co_await stitched_copy::gather_waypoints(copies, job.block, lengths, until);
    if (!candidates) co_return repair_report{.result = outcome::cancelled};
    for (const digest::waypoints& points : *candidates) {
        stitched_copy parts(copies, points);
        const auto complete =
            co_await parts.plan({job.tools.memory, job.tools.engine, 1}, job.block, {}, points.length(), until);
        if (!complete) co_return repair_report{.result = outcome::cancelled};
        if (!*complete) continue;
        std::string why;
        auto done = co_await replace(job, parts, why, until);
        if (done && done->result == outcome::repaired) done->source = "the good parts of several bad copies";
        if (done) co_return done;
    }
    co_return std::nullopt;
}

}  // namespace

awaitable<repair_report> repair_copy(const repair_tools& tools, const mount& where,
                                     const std::vector<const mount*>& sources, const md5_digest& block,
                                     volumes::block_time seen) {
    const repair_job job{tools, where, block, seen};
    repair_report report{.why = "no other volume of this server has the block"};
    stitched_copy::copy_list bad_copies;
    for (const mount* const source : sources) {
        const auto until = deadline::in(limits::scrub_repair_timeout);
        auto opened = co_await source->volume->open(block, until);
        if (!opened) {
            if (opened.error() == errc::cancelled) co_return repair_report{.result = outcome::cancelled};
            if (opened.error() != errc::not_found) report.why = "another copy cannot be read: " + opened.error().text;
            continue;
        }
        if ((*opened)->size() > limits::block_size_bytes_max) {
            report.why = "the other copy is bad, too";
            continue;
        }
        auto copy = std::make_unique<scrub_reader>(std::move(*opened), tools.rules);
        std::string why;
        auto done = co_await replace(job, *copy, why, until);
        if (done) {
            if (done->result == outcome::repaired) done->source = source->uuid;
            co_return std::move(*done);
        }
        report.why = "the other copy is bad, too: " + why;
        bad_copies.push_back(std::move(copy));
    }
    if (bad_copies.empty()) co_return report;
    auto itself = co_await where.volume->open(block, deadline::in(limits::scrub_repair_timeout));
    if (!itself && itself.error() == errc::cancelled) co_return repair_report{.result = outcome::cancelled};
    if (itself) bad_copies.push_back(std::make_unique<scrub_reader>(std::move(*itself), tools.rules));
    if (auto done = co_await replace_with_parts(job, bad_copies)) co_return std::move(*done);
    co_return report;
}

}  // namespace keepstore::store
