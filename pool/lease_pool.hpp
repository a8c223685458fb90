/// A side pool: bounded memory, in addition to the budget of requests, for operations that may hold chunks of that
/// budget while they run (copying between volumes, reads without room, the scrub, pulls). If they waited there for a
/// second chunk, all of them could wait for each other.
///
/// An operation reserves what it needs at most, at once (`take`): it waits for that holding nothing of this pool, and
/// afterwards only for its own chunks to come back. So an operation that has a lease always makes progress, provided
/// that what it has handed out is written, hashed or dropped without its help. It must not wait for another lease, nor
/// for the budget of requests, while it has one (docs/memory.md).
///
///     KS_CO_TRY(auto memory, co_await pool.take(4, until));
///     KS_CO_TRY(auto chunk, co_await memory.acquire(until));
///
/// Chunks may outlive their lease, as when a call on a hung volume holds one: the rest of the reservation is free at
/// once, and that chunk's part when it comes back. They may outlive the pool, too.
///
/// The wait list is its own, not base/async_semaphore.hpp: a lease is several chunks at once, and what comes back goes
/// to the waiter that is first in line, however much it needs, so that small leases do not overtake large ones for
/// ever.
///
/// The pool is safe to use from any thread. A lease is used by one coroutine at a time.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "pool/buffer_pool.hpp"
#include "pool/chunk_source.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace keepstore::pool {

class lease_pool {
    struct core;
    struct account;
    class leased_chunk;

  public:
    /// `on_exhausted` is called on the thread that is about to wait, for a lease or for a chunk, before it does, so
    /// that deferred pieces are hashed at once. It must not call the pool.
    explicit lease_pool(
        std::size_t budget_bytes, std::function<void()> on_exhausted = [] {}, buffer_pool::map_function = nullptr);

    /// A reservation. Returned on destruction, but for the chunks that are still in use.
    class lease final : public chunk_source {
      public:
        lease() = default;
        lease(lease&& other) noexcept : account_(std::move(other.account_)) {}
        lease& operator=(lease&& other) noexcept {
            lease taken(std::move(other));
            std::swap(account_, taken.account_);
            return *this;
        }
        ~lease();

        /// Suspends while all that was reserved is in use. errc::unavailable: no memory could be mapped, and none of
        /// these chunks is in use.
        [[nodiscard]] awaitable<result<mutable_slice>> acquire(deadline until) override;
        [[nodiscard]] std::optional<mutable_slice> try_acquire() override;
        /// A quarter of the reservation: a few consumers and the chunk being filled then fit without a wait.
        [[nodiscard]] std::size_t queue_bytes() const noexcept override;

      private:
        friend class lease_pool;
        explicit lease(std::shared_ptr<account> a) noexcept : account_(std::move(a)) {}
        std::shared_ptr<account> account_;
    };

    /// Reserves this many chunks, at most the whole pool. First come, first served. Awaited in place.
    /// \returns errc::timeout, errc::cancelled.
    [[nodiscard]] awaitable<result<lease>> take(std::size_t chunks, deadline until);

    /// `waiters` and `waits_total` count those that wait for a lease.
    [[nodiscard]] buffer_pool::stats snapshot() const;

  private:
    std::shared_ptr<core> core_;
};

}  // namespace keepstore::pool
