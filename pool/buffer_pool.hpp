/// The bounded memory of the daemon: one byte budget (API.MaxKeepBlobBuffers x 64 MiB) handed out in chunks of
/// `limits::chunk_size_bytes`. Memory is mapped in slabs as demand grows, up to the budget, touched when first handed
/// out, and kept: giving pages back and faulting them in again costs more than hashing them (docs/performance.md).
///
/// Waiters are served first come, first served, whatever thread they are on. An operation that waits holds no chunk
/// that needs its help to come back (docs/memory.md), so holders never wait for each other.
///
/// When the system gives no memory, the pool goes on with what it has; with nothing, acquire() fails at once. Each call
/// that finds no free chunk tries again to get more.
///
/// This is not an async_semaphore with a free list: a chunk goes from the coroutine that drops it to the first waiter
/// under one lock, so that its memory is never given to a later caller in between.
///
/// Chunks start on 512-byte boundaries that differ in their low 12 bits ("colours"), so that parallel hashing of many
/// chunks does not collide in one cache set, while direct I/O still accepts them.
///
/// Safe to call from any thread. Chunks may be released on any thread, also after the pool was destroyed: a call that
/// hangs on a volume may hold some. Their memory goes back to the system with the last of them.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/limits.hpp"
#include "pool/chunk_source.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace keepstore::pool {

class buffer_pool final : public chunk_source {
  public:
    /// Maps anonymous memory; null when the system gives none.
    using map_function = void* (*)(std::size_t bytes);

    /// `budget_bytes` is rounded up to a whole chunk; it is a limit, nothing is allocated here. `map`: for tests.
    explicit buffer_pool(std::size_t budget_bytes, map_function map = nullptr);
    ~buffer_pool();

    /// Sets a callback that runs on a thread that is about to wait for a chunk, before each such wait, so that holders
    /// of chunks that they could do without release them. It must not call the pool. Set before the pool is used.
    void on_exhausted(std::function<void()> callback);

    /// First come, first served. errc::unavailable: no memory could be mapped, and no chunk is in use.
    [[nodiscard]] awaitable<result<mutable_slice>> acquire(deadline until) override;

    /// Takes a chunk if one is free and no coroutine waits for one. Never suspends.
    [[nodiscard]] std::optional<mutable_slice> try_acquire() override;

    /// Many while the pool is idle, one chunk when it is nearly spent. Between limits::request_queue_bytes_min and
    /// _max.
    [[nodiscard]] std::size_t queue_bytes() const noexcept override;

    struct stats {
        std::size_t budget_bytes;     ///< What may be handed out.
        std::size_t allocated_bytes;  ///< Mapped so far; never shrinks.
        std::size_t in_use_bytes;     ///< Handed out now.
        std::size_t waiters;
        std::uint64_t waits_total;  ///< Calls that had to wait.

        stats& operator+=(const stats& other) noexcept {
            budget_bytes += other.budget_bytes;
            allocated_bytes += other.allocated_bytes;
            in_use_bytes += other.in_use_bytes;
            waiters += other.waiters;
            waits_total += other.waits_total;
            return *this;
        }
    };
    [[nodiscard]] stats snapshot() const;

  private:
    class chunk;
    struct core;
    std::shared_ptr<core> core_;
};

}  // namespace keepstore::pool
