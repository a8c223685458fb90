/// Streams of bytes between a client's connection and the store. The server implements them, the store uses them, and
/// neither knows the other. Each is used by one coroutine at a time, on its executor; every call is awaited in place.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/byte_range.hpp"
#include "base/limits.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace keepstore {

/// Source of the bytes of a PUT (the request body).
class byte_source {
  public:
    virtual ~byte_source() = default;
    /// Total size, if the sender announced it.
    [[nodiscard]] virtual std::optional<std::uint64_t> size() const noexcept = 0;
    /// Suspends until a read would not wait, so that a silent client holds no memory.
    [[nodiscard]] virtual awaitable<result<void>> wait_ready() = 0;
    /// Reads up to into.size() bytes; 0 at the end. \returns errc::cancelled when the sender disconnected,
    /// errc::timeout when it is too slow, errc::bad_request when the framing is malformed.
    [[nodiscard]] virtual awaitable<result<std::size_t>> read_some(std::span<std::byte> into) = 0;
};

/// Destination of the bytes of a GET (the response body).
class byte_sink {
  public:
    virtual ~byte_sink() = default;
    /// Called once, before the first write, when the block was found and its size is known. `body` is the range that
    /// will be written: all of the block, or the requested part.
    [[nodiscard]] virtual awaitable<result<void>> begin(std::uint64_t size, byte_range body) = 0;
    /// Suspends until a write would not wait, so that a slow reader holds no memory.
    [[nodiscard]] virtual awaitable<result<void>> wait_ready() = 0;
    /// Sends all of `bytes`. An error ends the read: nothing more can be sent.
    [[nodiscard]] virtual awaitable<result<void>> write(const_slice bytes) = 0;

    /// What write_some() does when the reader does not take everything at once.
    enum class when_full {
        give_up,       ///< Sends only what the socket takes at once.
        wait_briefly,  ///< Waits up to limits::slow_reader_wait for a reader that is nearly keeping up.
    };
    /// Sends as much as the reader takes, so that the caller can release the memory of the rest.
    /// \returns the number of bytes sent; the next write must continue after them.
    [[nodiscard]] virtual awaitable<result<std::size_t>> write_some(const_slice bytes, when_full) = 0;
};

}  // namespace keepstore
