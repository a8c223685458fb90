/// The bounded memory of the daemon: one byte budget (API.MaxKeepBlobBuffers x 64 MiB) handed out in chunks of
/// `limits::chunk_size_bytes`. Memory is mapped in slabs as demand grows, up to the budget, touched when first handed
/// out, and kept: giving pages back and faulting them in again costs more than hashing them (docs/performance.md).
///
/// Waiters are served first come, first served, whatever thread they are on. A request needs one chunk to make
/// progress, so holders never wait for each other.
///
/// This is not an async_semaphore with a free list: a chunk goes from the coroutine that drops it to the first waiter
/// under one lock, so that its memory is never given to a later caller in between.
///
/// Chunks start on 512-byte boundaries that differ in their low 12 bits ("colours"), so that parallel hashing of many
/// chunks does not collide in one cache set, while direct I/O still accepts them.
///
/// Safe to call from any thread. Chunks may be released on any thread and must all be back before the pool is
/// destroyed.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/limits.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace keepstore::pool {

class buffer_pool {
  public:
    /// `budget_bytes` is rounded up to a whole chunk; it is a limit, nothing is allocated here.
    explicit buffer_pool(std::size_t budget_bytes);
    ~buffer_pool();
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;

    /// Sets a callback that runs on a thread that is about to wait for a chunk, before each such wait, so that holders
    /// of chunks that they could do without release them. It must not call the pool. Set before the pool is used.
    void on_exhausted(std::function<void()> callback);

    /// Takes a chunk of chunk_size() bytes, content undefined. Suspends while the budget is spent, without a deadline:
    /// the caller's ends it by cancellation. A cancelled wait takes nothing. \returns errc::cancelled.
    [[nodiscard]] awaitable<result<mutable_slice>> acquire();

    /// Takes a chunk if one is free and no coroutine waits for one. Never suspends.
    [[nodiscard]] std::optional<mutable_slice> try_acquire();

    /// Returns how many bytes one streaming request may keep queued right now: many while the pool is idle, one chunk
    /// when it is nearly spent. Between limits::request_queue_bytes_min and _max.
    [[nodiscard]] std::size_t request_queue_bytes() const noexcept;

    [[nodiscard]] static constexpr std::size_t chunk_size() noexcept { return limits::chunk_size_bytes; }

    struct stats {
        std::size_t budget_bytes;     ///< What may be handed out.
        std::size_t allocated_bytes;  ///< Mapped so far; never shrinks.
        std::size_t in_use_bytes;     ///< Handed out now.
        std::size_t waiters;
        std::uint64_t waits_total;  ///< acquire() calls that had to wait.
    };
    [[nodiscard]] stats snapshot() const;

  private:
    class chunk;
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace keepstore::pool
