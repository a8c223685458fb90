/// Asks about all segments of a job, several at a time: its files may be in a bucket, and each costs a round trip.
/// Awaited in place, from one event loop.
#pragma once

#include "base/async.hpp"
#include "keepctl/clone/limits.hpp"
#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/shards.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace keepstore::keepctl {

/// `call` takes the digits of a segment, and returns an awaitable of result<void>. Calls begin in the order of
/// segments.
/// \returns the first error, after which no further call begins.
template <class Call>
awaitable<result<void>> for_each_segment(unsigned digits, const Call& call) {
    struct progress {
        std::size_t next = 0;
        result<void> end = success();
    };
    progress shared;
    const auto work = [](unsigned of, const Call& ask, progress& at) -> awaitable<void> {
        while (at.end && at.next < shard_count(of)) {
            auto asked = co_await ask(shard_prefix(of, at.next++));
            if (!asked && at.end) at.end = std::move(asked);
        }
    };
    const auto workers = std::min(limits::clone_job_reads_max, shard_count(digits));
    if (co_await run_workers(workers, [&] { return work(digits, call, shared); })) co_return fail(errc::cancelled);
    co_return std::move(shared.end);
}

}  // namespace keepstore::keepctl
