// transfer.hpp: whether copies are good, and what is wrong with those that cannot be read to their end.
#include "keepctl/cluster/bandwidth.hpp"
#include "keepctl/replicate/transfer.hpp"

#include <utility>

namespace keepstore::keepctl {

// \returns what is wrong with a source whose copy could not be read to its end. A connection that ends in the middle of
// a body may be that of a server which goes away, or of one which finds rot in what it sends: it has no other way to
// say so. Has it verify its copy.
awaitable<error> transfer::reason_of_failure(block_place& place, block_id block, std::size_t number, error cut,
                                             server_health& health, deadline until) {
    if (cut == errc::timeout) note(health, cut);
    if (cut != errc::unavailable) co_return cut;
    auto verified = co_await place.verify(block, number, until);
    if (verified || verified.error() == errc::unsupported) co_return cut;
    const auto& why = verified.error();
    if (why == errc::checksum_mismatch || why == errc::not_found || why == errc::cancelled)
        co_return std::move(verified.error());
    note(health, why);
    co_return cut;
}

// Reads a place's copies until one proves to be the block. errc::not_found: there is none; checksum_mismatch: none is
// good; state.paused is set if a server was not asked.
awaitable<result<void>> transfer::verify(block_place& place, health_list& health, block_id block,
                                         attempt_state& state) {
    error last = errc::not_found;
    for (const auto number : place.sources(block.name)) {
        auto& server = health[number];
        if (server.admit(server_health::clock::now()) > server_health::clock::duration::zero()) {
            state.hold(server, health);
            continue;
        }
        auto proven = co_await prove(place, block, number, server, state.until);
        if (proven) {
            note_success(server);
            co_return success();
        }
        if (proven.error() != errc::not_found) last = std::move(proven.error());
    }
    co_return std::unexpected(std::move(last));
}

// Reads a server's copy, and hashes it here. \returns what is wrong with it, or why that cannot be told.
awaitable<result<void>> transfer::prove(block_place& place, block_id block, std::size_t number, server_health& health,
                                        deadline until) {
    auto copy = co_await place.open(block, number, until);
    if (!copy) {
        note(health, copy.error());
        co_return std::unexpected(std::move(copy.error()));
    }
    paced_source paced(**copy, bandwidth_);
    protocol::proven_stream bytes(paced, block.name, engine_, pool_,
                                  {.queue_bytes = limits::keepctl_queue_bytes, .batching = true});
    while (true) {
        auto piece = co_await bytes.next(until);
        if (!piece) {
            co_return std::unexpected(
                co_await reason_of_failure(place, block, number, std::move(piece.error()), health, until));
        }
        if (piece->size() == 0) co_return success();
    }
}

}  // namespace keepstore::keepctl
