/// Attempts to read and write a TCP socket that never wait and never raise a signal. Any thread.
#pragma once

#include <cstddef>
#include <span>

struct iovec;

namespace keepstore::net {

enum class io_status {
    ok,
    want_read,   ///< Nothing done; try again when the socket is readable.
    want_write,  ///< Nothing done; try again when the socket is writable.
    closed,      ///< The peer has closed its direction in order (reads only).
    failed,      ///< Reset, or a protocol error: nothing more will work.
};

struct io_outcome {
    io_status status = io_status::ok;
    std::size_t bytes = 0;
};

/// A gathered write of a prefix of the buffers (at most 64).
[[nodiscard]] io_outcome send_to_socket(int fd, std::span<const iovec> buffers) noexcept;
/// `flags` as for recv(2).
[[nodiscard]] io_outcome receive_from_socket(int fd, std::span<std::byte> into, int flags) noexcept;

}  // namespace keepstore::net
