#include "keepctl/commands/block_check.hpp"

#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/limits.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace keepstore::keepctl {

struct block_check::work {
    std::span<item> left;
    bool cancelled = false;
};

block_check::block_check(const arguments& given, std::vector<block_place*> places, output& out)
    : jobs_(given.jobs.value_or(limits::keepctl_jobs_default)),
      places_(std::move(places)),
      out_(out),
      verifier_(given.memory / 2) {}

std::string block_check::memory_problem(const arguments& given) {
    const auto jobs = given.jobs.value_or(limits::keepctl_jobs_default);
    const auto needed = jobs * limits::keepctl_job_bytes_min;
    if (given.memory / 2 >= needed) return {};
    return fmt::format("--jobs {} need at least --memory {}MiB", jobs, 2 * needed / MiB);
}

awaitable<result<void>> block_check::run(std::span<item> items) {
    work shared{.left = items};
    if (co_await run_workers(jobs_, [&] { return worker(shared); }) || shared.cancelled)
        co_return fail(errc::cancelled);
    co_return success();
}

// Workers take the items in order; all of them run on one thread.
awaitable<void> block_check::worker(work& shared) {
    while (!shared.left.empty() && !shared.cancelled) {
        item& next = shared.left.front();
        shared.left = shared.left.subspan(1);
        if (next.state != difference::same) continue;
        for (block_place* const place : places_) {
            auto checked = co_await verifier_.verify(*place, next.block);
            if (checked) continue;
            if (checked.error() == errc::cancelled) {
                shared.cancelled = true;
                co_return;
            }
            const bool known = checked.error() == errc::checksum_mismatch || checked.error() == errc::not_found;
            if (known || next.state == difference::same)
                next.state = known ? difference::differs : difference::unreadable;
            say(next.block, *place, checked.error());
        }
        ++checked_;
    }
}

void block_check::say(block_id block, const block_place& place, const error& why) {
    if (said_ == limits::failures_printed_max) out_.warn("further blocks are only counted");
    if (said_++ >= limits::failures_printed_max) return;
    out_.warn(fmt::format("{}: {}: {}", block.text(), place.name(), why.text));
}

}  // namespace keepstore::keepctl
