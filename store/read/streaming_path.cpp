// STREAMING: sends a copy while it is hashed, from what is proven on.
#include "store/limits.hpp"
#include "store/read/read_operation.hpp"
#include "store/verify/stored_bytes.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace keepstore::store {
namespace {

using monotonic = std::chrono::steady_clock;

// The size of the next piece for a client of a stream. While the client is slow, its socket takes a piece at once when
// it is ready, so that no chunk waits for the client.
class piece_size {
  public:
    explicit piece_size(bool slow) : prompt_bytes_(slow ? 0 : limits::chunk_size_bytes) {}

    [[nodiscard]] std::size_t most() const noexcept {
        return prompt_bytes_ < limits::chunk_size_bytes ? limits::slow_stream_piece_bytes : limits::chunk_size_bytes;
    }
    void taken(std::size_t bytes) noexcept { prompt_bytes_ += bytes; }
    void waited_since(monotonic::time_point begin) noexcept {
        if (monotonic::now() - begin >= limits::slow_reader_wait) prompt_bytes_ = 0;
    }

  private:
    std::uint64_t prompt_bytes_;  // Taken since the last wait.
};

}  // namespace

awaitable<read_operation::step> read_operation::send_streaming(volumes::block_reader& copy, copy_waypoints& points) {
    const std::uint64_t size = copy.size();
    const proven_state start = begun_ ? proof_.value_or(proven_state{}) : proven_state{};
    digest::md5_stream hash(store_.engine, {.queue_bytes = store_.request_pool.queue_bytes(),
                                            .waypoint_stride = segment::fine_bytes,
                                            .from = start.state,
                                            .offset = start.offset});
    const_slice last;  // Withheld until the digest matches.
    std::optional<error> unreadable;
    bool slow = false;
    piece_size next_piece(begun_);
    for (std::uint64_t offset = start.offset; offset < size && !slow;) {
        if (begun_) {
            const auto since = monotonic::now();
            if (const auto ready = co_await sink_.wait_ready(); !ready) co_return abandon(ready.error());
            next_piece.waited_since(since);
        }
        const std::size_t most = copy.streams() ? next_piece.most() : limits::chunk_size_bytes;
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(most, size - offset));
        auto got = co_await read_piece(copy, offset, want, unreadable);
        if (!got) co_return abandon(std::move(got.error()));
        if (unreadable) break;
        const_slice piece = *std::move(got);
        const std::size_t count = piece.size();
        hash.set_queue_bytes(store_.request_pool.queue_bytes());
        if (const auto added = co_await hash.update(piece); !added) co_return abandon(added.error());
        // Bytes that the client has already are only hashed.
        if (begun_ && sent_ > offset) piece = piece.subslice(std::min<std::size_t>(count, sent_ - offset));
        offset += count;
        if (offset == size) {
            last = std::move(piece);
            break;
        }
        if (!co_await begin(size)) co_return step::abandoned;
        if (copy.streams()) {
            // Holds one chunk until the client has taken it.
            const auto since = monotonic::now();
            if (const auto written = co_await sink_.write(piece); !written) co_return abandon(written.error());
            next_piece.taken(piece.size());
            next_piece.waited_since(since);
            sent_ += piece.size();
            continue;
        }
        const auto taken = co_await sink_.write_some(piece, byte_sink::when_full::wait_briefly);
        if (!taken) co_return abandon(taken.error());
        sent_ += *taken;
        slow = *taken < piece.size();
    }
    if (last.size() > 0) {
        const auto digest = co_await hash.finish();
        if (!digest) co_return abandon(digest.error());
        if (*digest == request_.block.hash) {
            if (start.offset == 0) {
                points.computed = digest::waypoints::from_capture(static_cast<std::size_t>(size), segment::fine_bytes,
                                                                  hash.waypoints());
            }
            if (!co_await begin(size)) co_return step::abandoned;
            if (const auto written = co_await sink_.write(last); !written) co_return abandon(written.error());
            if (points.computed) co_await keep_waypoints(copy, points);
            co_return step::done;
        }
    } else if (const auto drained = co_await hash.drain(); !drained) {
        co_return abandon(drained.error());
    }
    if (begun_) {
        const auto states = hash.waypoints();
        const auto pieces =
            static_cast<std::size_t>((std::max(sent_, start.offset) - start.offset) / segment::fine_bytes);
        proof_ = pieces == 0 ? start : proven_state{start.offset + pieces * segment::fine_bytes, states[pieces - 1]};
    }
    // With the waypoints of the whole block a slow client can be served without holding memory.
    if (slow) co_return step::rehash;
    co_return mark_corrupt(sent_, unreadable ? std::move(*unreadable) : error(errc::checksum_mismatch));
}

// The next bytes, at most `want`, in a chunk. \returns what ends the read; an error of the copy is in `unreadable`.
awaitable<result<const_slice>> read_operation::read_piece(volumes::block_reader& copy, std::uint64_t offset,
                                                          std::size_t want, std::optional<error>& unreadable) {
    // Without a free chunk it is waited for first, since a stream may not keep its bytes until they are read again.
    if (copy.streams() && store_.request_pool.try_acquire()) {
        // They may take seconds (volumes/cloud/download_turns.hpp), and thousands of clients wait: without a chunk.
        const auto arrived = co_await copy.read_piece(offset, want, until_);
        if (!arrived && arrived.error() == errc::cancelled) co_return std::unexpected(arrived.error());
        if (!arrived && arrived.error() != errc::unsupported) unreadable = arrived.error();
        if (arrived && arrived->size() == 0) unreadable = error(errc::checksum_mismatch);
        if (unreadable) co_return const_slice{};
        const auto into = arrived ? store_.request_pool.try_acquire() : std::nullopt;
        if (into) {
            std::ranges::copy(arrived->bytes, into->bytes.begin());
            co_return into->freeze(arrived->size());
        }
        // There is none any more. Never waits with the stream's memory: those that have the chunks may wait for it.
    }
    KS_CO_TRY(const auto into, co_await store_.request_pool.acquire(request_.until));
    auto count = co_await read_stored(copy, offset, into.subslice(0, want), until_);
    if (count && *count == want) co_return into.freeze(want);
    if (!count && count.error() == errc::cancelled) co_return std::unexpected(std::move(count.error()));
    unreadable = count ? error(errc::checksum_mismatch) : std::move(count.error());
    co_return const_slice{};
}

}  // namespace keepstore::store
