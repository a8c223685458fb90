#include "keepstore/read_operation.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"

#include <fmt/format.h>

namespace keepstore::core {

// A copy of a block that has failed in the middle and another mount's copy that takes over must agree on what was sent:
// the chaining state of MD5 after those bytes stands for them. Equal states and a right final digest prove that the
// client got the block's bytes (docs/ARCHITECTURE.md, "Failover in mid-stream").

awaitable<result<std::uint64_t>> read_operation::run() {
    const auto mounts = store_.mounts_.in_read_order(request_.block.hash);
    bool failed_over = false;
    for (const mount* const m : mounts) {
        auto reader = co_await open(*m);
        if (!reader) {
            if (reader.error() == errc::cancelled) co_return std::unexpected(std::move(reader.error()));
            remember(std::move(reader.error()));
            continue;
        }
        if (failure_.code != errc::not_found && !failed_over) {
            failed_over = true;
            store_.failovers_.fetch_add(1, std::memory_order_relaxed);
        }
        const std::uint64_t size = (*reader)->size();
        switch (co_await send_copy(*m, **reader)) {
            case verdict::sent: co_return size;
            case verdict::gave_up: co_return std::unexpected(std::move(failure_));
            case verdict::bad_copy: break;
        }
    }
    co_return std::unexpected(std::move(failure_));
}

awaitable<result<std::unique_ptr<volumes::block_reader>>> read_operation::open(const mount& m) {
    if (auto now = m.volume->try_open(request_.block.hash)) co_return std::move(*now);
    co_return co_await m.volume->open(request_.block.hash, request_.until);
}

awaitable<read_operation::verdict> read_operation::send_copy(const mount& m, volumes::block_reader& reader) {
    const std::uint64_t size = reader.size();
    if (size > limits::block_size_bytes_max) {
        co_return bad(m, fmt::format("stored size {} is over the block size limit", size), error(errc::too_large));
    }
    // On GET, "+0" stands for the empty block only; a HEAD without a (positive) size takes what is there.
    const auto hint = request_.block.size;
    if (hint && *hint != size && !(request_.head && *hint == 0)) {
        co_return bad(m, fmt::format("stored size {} differs from the locator's size {}", size, *hint),
                      error(errc::checksum_mismatch));
    }
    if (!request_.head && size <= limits::chunk_size_bytes) co_return co_await send_small(m, reader);
    co_return co_await send_large(m, reader);
}

awaitable<read_operation::verdict> read_operation::send_small(const mount& m, volumes::block_reader& reader) {
    const auto size = static_cast<std::size_t>(reader.size());
    const_slice bytes;
    if (size > 0) {
        auto into = co_await store_.pool_.acquire();
        if (!into) co_return give_up(std::move(into.error()));
        auto count = co_await read(reader, 0, into->subslice(0, size));
        if (!count) {
            if (count.error() == errc::cancelled) co_return give_up(std::move(count.error()));
            co_return bad(m, "cannot be read", std::move(count.error()));
        }
        if (*count != size) co_return bad(m, "is shorter than its size", error(errc::checksum_mismatch));
        bytes = into->freeze(size);
    }
    md5_digest digest;
    if (size <= limits::digest_inline_bytes_max) {
        digest = digest::md5_of(bytes.bytes);
    } else {
        digest::md5_stream stream(store_.digest_, {});
        if (auto added = co_await stream.update(bytes); !added) co_return give_up(std::move(added.error()));
        auto finished = co_await stream.finish();
        if (!finished) co_return give_up(std::move(finished.error()));
        digest = *finished;
    }
    if (digest != request_.block.hash) co_return bad(m, "has the wrong content", error(errc::checksum_mismatch));
    begun_ = true;
    if (auto begun = co_await sink_.begin(size); !begun) co_return give_up(std::move(begun.error()));
    if (size > 0 && !co_await send(bytes)) co_return verdict::gave_up;
    co_return verdict::sent;
}

awaitable<read_operation::verdict> read_operation::send_large(const mount& m, volumes::block_reader& reader) {
    const std::uint64_t size = reader.size();
    digest::md5_stream stream(store_.digest_, {.queue_bytes = store_.pool_.request_queue_bytes(),
                                               .waypoint_stride = limits::chunk_size_bytes});
    const_slice last;
    std::uint64_t offset = 0;
    bool readable = true;
    error read_failure(errc::io_error);
    while (offset < size) {
        const bool resend = offset < sent_;  // This copy takes over: what was sent already is only hashed.
        if (!resend && begun_) {
            if (auto ready = co_await sink_.wait_ready(); !ready) co_return give_up(std::move(ready.error()));
        }
        auto into = co_await store_.pool_.acquire();
        if (!into) co_return give_up(std::move(into.error()));
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(into->size(), size - offset));
        auto count = co_await read(reader, offset, into->subslice(0, want));
        if (!count || *count != want) {
            if (!count && count.error() == errc::cancelled) co_return give_up(std::move(count.error()));
            readable = false;
            read_failure = count ? error(errc::checksum_mismatch) : std::move(count.error());
            break;
        }
        const const_slice piece = into->freeze(want);
        stream.set_queue_bytes(store_.pool_.request_queue_bytes());
        if (auto added = co_await stream.update(piece); !added) co_return give_up(std::move(added.error()));
        offset += want;
        if (resend) {
            if (offset == sent_) {
                if (auto drained = co_await stream.drain(); !drained) co_return give_up(std::move(drained.error()));
                if (stream.state() != sent_state_)
                    co_return bad(m, "differs from what was sent before another copy failed", error(errc::checksum_mismatch));
            }
            continue;
        }
        if (offset == size) {
            last = piece;
        } else if (!request_.head) {
            if (!begun_) {
                begun_ = true;
                if (auto begun = co_await sink_.begin(size); !begun) co_return give_up(std::move(begun.error()));
            }
            if (!co_await send(piece)) co_return verdict::gave_up;
        }
    }
    if (!readable) {
        if (auto drained = co_await stream.drain(); !drained) co_return give_up(std::move(drained.error()));
        const auto points = stream.waypoints();
        const std::size_t pieces = sent_ / limits::chunk_size_bytes;
        if (pieces > 0 && pieces <= points.size()) sent_state_ = points[pieces - 1];
        co_return bad(m, "cannot be read", std::move(read_failure));
    }
    const auto digest = co_await stream.finish();
    if (!digest) co_return give_up(digest.error());
    if (*digest != request_.block.hash) {
        const auto points = stream.waypoints();
        const std::size_t pieces = sent_ / limits::chunk_size_bytes;
        if (pieces > 0) sent_state_ = points[pieces - 1];
        co_return bad(m, "has the wrong content", error(errc::checksum_mismatch));
    }
    if (!begun_) {
        begun_ = true;
        if (auto begun = co_await sink_.begin(size); !begun) co_return give_up(std::move(begun.error()));
    }
    if (!request_.head && last.size() > 0 && !co_await send(last)) co_return verdict::gave_up;
    co_return verdict::sent;
}

awaitable<result<std::size_t>> read_operation::read(volumes::block_reader& reader, std::uint64_t offset,
                                                    const mutable_slice& into) {
    std::size_t filled = 0;
    while (filled < into.size()) {
        const auto now = reader.try_read_at(offset + filled, into.bytes.subspan(filled));
        if (!now) break;
        if (*now == 0) co_return filled;
        filled += *now;
    }
    if (filled == into.size()) co_return filled;
    auto rest = co_await reader.read_at(offset + filled, into.subslice(filled), request_.until);
    if (!rest) co_return std::move(rest);
    co_return filled + *rest;
}

awaitable<bool> read_operation::send(const const_slice& bytes) {
    auto written = co_await sink_.write(bytes);
    if (!written) {
        give_up(std::move(written.error()));
        co_return false;
    }
    sent_ += bytes.size();
    co_return true;
}

read_operation::verdict read_operation::give_up(error why) {
    failure_ = std::move(why);
    return verdict::gave_up;
}

read_operation::verdict read_operation::bad(const mount& m, std::string_view what, error why) {
    store_.bad_copies_.fetch_add(1, std::memory_order_relaxed);
    store_.bad_copy_log_.report(m.uuid, request_.block.hash, what);
    remember(std::move(why));
    return verdict::bad_copy;
}

// What the client is told when no copy was good: any failure says more than "not found" (contract 9, 14804), and of
// several the first counts.
void read_operation::remember(error why) {
    if (why == errc::not_found) return;
    if (failure_ == errc::not_found) failure_ = std::move(why);
}

}  // namespace keepstore::core
