#include "keepctl/cluster/block_verifier.hpp"

#include "base/event_loop_group.hpp"
#include "keepctl/cluster/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

block_verifier::block_verifier(std::size_t memory_bytes)
    : engine_(std::min(usable_processors(), limits::keepctl_digest_threads_max)), pool_(memory_bytes) {}

awaitable<result<void>> block_verifier::verify(block_place& place, block_id block) {
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

awaitable<result<void>> block_verifier::read(block_place& place, block_id block, std::size_t server) {
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

}  // namespace keepstore::keepctl
