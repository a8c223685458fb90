// VERIFIED: sends a copy segment by segment, each checked against a waypoint first.
#include "base/limits.hpp"
#include "store/read/read_operation.hpp"
#include "store/read/verified_copy.hpp"

#include <chrono>
#include <utility>

namespace keepstore::store {

awaitable<read_operation::step> read_operation::send_verified(volumes::block_reader& reader,
                                                              const digest::waypoints& points) {
    const byte_range body = body_of(reader.size());
    const byte_range left = begun_ ? byte_range{sent_, body.end() - sent_} : body;
    verified_copy copy(store_, reader, points, request_.block.hash, left, start_of(points, body), until_);
    const auto next = co_await send_segments(copy);
    if (begun_) proof_ = copy.proof();
    if (next) co_return *next;
    suspect_ = copy.suspect();
    if (next.error() == errc::checksum_mismatch) co_return step::rehash;
    co_return mark_corrupt(suspect_, next.error());
}

// Where the rest starts: at what is proven, or, before anything is sent, at the waypoint before a range, which is
// believed.
proven_state read_operation::start_of(const digest::waypoints& points, const byte_range& body) const {
    if (begun_) return proof_.value_or(proven_state{});
    const auto first = static_cast<std::size_t>(body.first / points.stride());
    return {first * points.stride(), points.state_before(first)};
}

// \returns errors of the copy; those of the client abandon the read.
awaitable<result<read_operation::step>> read_operation::send_segments(verified_copy& copy) {
    using monotonic = std::chrono::steady_clock;
    // Damage at the beginning is found while the response can still be an error.
    if (!begun_) KS_CO_CHECK(co_await copy.verify_first());
    if (!co_await begin(copy.size())) co_return step::abandoned;
    while (true) {
        KS_CO_TRY(auto piece, co_await copy.next());
        const std::size_t size = piece.size();
        if (size == 0) co_return step::done;
        const auto taken = co_await sink_.write_some(
            piece, copy.low_memory() ? byte_sink::when_full::give_up : byte_sink::when_full::wait_briefly);
        if (!taken) co_return abandon(taken.error());
        copy.advance(*taken);
        sent_ = copy.position();
        if (*taken == size) continue;
        // A slow client. A stream cannot be read again, so it is sent as it arrives; other copies give their memory
        // back until the client is ready.
        piece = {};
        if (copy.streams() && !request_.range) co_return step::stream;
        copy.release_buffers();
        const auto since = monotonic::now();
        if (const auto ready = co_await sink_.wait_ready(); !ready) co_return abandon(ready.error());
        if (monotonic::now() - since >= limits::slow_reader_wait) copy.reader_was_slow();
    }
}

}  // namespace keepstore::store
