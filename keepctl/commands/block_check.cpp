#include "keepctl/commands/block_check.hpp"

#include "base/event_loop_group.hpp"
#include "base/when_all.hpp"
#include "keepctl/cluster/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

struct block_check::work {
    std::span<item> left;
    bool cancelled = false;
};

block_check::block_check(const arguments& given, std::array<block_place*, 2> places, output& out)
    : jobs_(given.jobs),
      places_(places),
      out_(out),
      engine_(std::min(usable_processors(), limits::keepctl_digest_threads_max)),
      pool_(given.memory / 2) {}

awaitable<result<void>> block_check::run(std::span<item> items) {
    work shared{.left = items};
    std::vector<awaitable<void>> workers;
    for (unsigned i = 0; i < jobs_; ++i) workers.push_back(worker(shared));
    if (co_await when_all(std::move(workers)) || shared.cancelled) co_return fail(errc::cancelled);
    co_return success();
}

// Workers take the items in order; all of them run on one thread.
awaitable<void> block_check::worker(work& shared) {
    while (!shared.left.empty() && !shared.cancelled) {
        item& next = shared.left.front();
        shared.left = shared.left.subspan(1);
        if (next.state != difference::same) continue;
        for (block_place* const place : places_) {
            auto checked = co_await check(*place, next.block);
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

// Success: some source has a good copy. Else the failure that leaves most open.
awaitable<result<void>> block_check::check(block_place& place, block_id block) {
    error why(errc::not_found, "it is gone since it was listed");
    for (const auto server : place.sources(block.name)) {
        auto checked = co_await place.verify(block, server, deadline::in(limits::keepctl_block_timeout));
        if (!checked && checked.error() == errc::unsupported) checked = co_await read(place, block, server);
        if (checked || checked.error() == errc::cancelled) co_return checked;
        const auto& now = checked.error();
        if (now == errc::not_found) continue;
        if (why == errc::not_found || (why == errc::checksum_mismatch && now != errc::checksum_mismatch))
            why = std::move(checked.error());
    }
    co_return std::unexpected(std::move(why));
}

awaitable<result<void>> block_check::read(block_place& place, block_id block, std::size_t server) {
    const auto until = deadline::in(limits::keepctl_block_timeout);
    KS_CO_TRY(const auto source, co_await place.open(block, server, until));
    if (source->size() != block.size)
        co_return fail(errc::checksum_mismatch,
                       fmt::format("{}: its copy has {} bytes", source->where(), source->size()));
    protocol::proven_stream bytes(*source, block.name, engine_, pool_, {.queue_bytes = limits::keepctl_queue_bytes});
    while (true) {
        KS_CO_TRY(const const_slice piece, co_await bytes.next(until));
        if (piece.size() == 0) co_return success();
    }
}

void block_check::say(block_id block, const block_place& place, const error& why) {
    if (said_ == limits::failures_printed_max) out_.warn("further blocks are only counted");
    if (said_++ >= limits::failures_printed_max) return;
    out_.warn(fmt::format("{}: {}: {}", block.text(), place.name(), why.text));
}

}  // namespace keepstore::keepctl
