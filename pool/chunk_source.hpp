/// Where an operation takes its chunks from: the budget of all requests (buffer_pool), or its share of a side pool
/// (lease_pool::lease). Code that reads and hashes takes one of these and does not know which. The rule that keeps
/// waiting operations from waiting for each other: docs/memory.md.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"

#include <cstddef>
#include <optional>

namespace keepstore::pool {

class chunk_source {
  public:
    chunk_source() = default;
    chunk_source(const chunk_source&) = delete;
    chunk_source& operator=(const chunk_source&) = delete;

    /// Takes a chunk of limits::chunk_size_bytes, content undefined. Suspends while there is none. A wait that fails
    /// takes nothing. Awaited in place.
    /// \returns errc::timeout at the deadline; errc::unavailable when the system gives no memory and none is to come
    /// back; errc::cancelled.
    [[nodiscard]] virtual awaitable<result<mutable_slice>> acquire(deadline until) = 0;

    /// Takes a chunk if one is free. Never suspends.
    [[nodiscard]] virtual std::optional<mutable_slice> try_acquire() = 0;

    /// Returns how many bytes a stream of these chunks may keep queued in each of its consumers.
    [[nodiscard]] virtual std::size_t queue_bytes() const noexcept = 0;

  protected:
    ~chunk_source() = default;
};

}  // namespace keepstore::pool
