/// A TCP connection, plain or TLS, as client and server use it: attempts that never wait, and a socket to wait on. In
/// the common case (data is there, the socket takes it all) a transfer is one system call and no coroutine.
///
/// Used on the executor of its owner only.
#pragma once

#include "base/async.hpp"
#include "net/http/socket_io.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct iovec;

namespace keepstore::net {

class stream {
  public:
    using socket_type = asio::ip::tcp::socket;

    /// `socket` is connected and in non-blocking mode.
    explicit stream(socket_type socket) noexcept : socket_(std::move(socket)) {}
    virtual ~stream() = default;
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    /// One step of the opening handshake; ok when done. Plain streams have none.
    [[nodiscard]] virtual io_status handshake() { return io_status::ok; }
    [[nodiscard]] virtual io_outcome try_read(std::span<std::byte> into) noexcept = 0;
    /// Writes a prefix of the buffers (at most 64). What the stream does with bytes that it took and could not send
    /// depends on its kind: see tls_client_stream and make_tls_server_stream().
    [[nodiscard]] virtual io_outcome try_write(std::span<const iovec> buffers) noexcept = 0;
    /// Whether bytes were taken and not given to the kernel. An attempt to write, even of nothing, sends them.
    [[nodiscard]] virtual bool has_pending_output() const noexcept { return false; }
    /// Whether there is input that waiting for the socket would not report.
    [[nodiscard]] virtual bool has_buffered_input() const noexcept { return false; }
    /// What an attempt to read would return. Takes no data out.
    [[nodiscard]] virtual io_status peek() noexcept = 0;
    /// Announces the end of our output where the protocol has a message for it (TLS close_notify). Does not wait.
    virtual void shutdown() noexcept {}

    /// Open, and the peer has sent nothing: what an idle connection must be.
    [[nodiscard]] bool is_quiet() noexcept { return peek() == io_status::want_read; }
    /// Whether the peer has closed its direction or reset the connection.
    [[nodiscard]] bool closed_by_peer() noexcept {
        const auto status = peek();
        return status == io_status::closed || status == io_status::failed;
    }
    /// Whether input is waiting in the socket.
    [[nodiscard]] bool has_unread_input() const noexcept;
    /// Ends our direction: the peer reads what was sent, then the end.
    void shutdown_send() noexcept;
    /// Closes the socket. What was written is still delivered, unless `reset`: then the kernel drops it and tells the
    /// peer.
    void close(bool reset) noexcept;

    /// Bytes that the peer has acknowledged, as counted on the wire.
    [[nodiscard]] std::uint64_t acknowledged_bytes() const noexcept;
    /// In the kernel's send buffer, or in flight (SIOCOUTQ).
    [[nodiscard]] std::size_t unsent_bytes() const noexcept;
    /// From now on the kernel takes no more output when it holds this much that is not in flight (TCP_NOTSENT_LOWAT),
    /// but for the rest of a packet. 0: no limit.
    void limit_unsent(std::size_t bytes) noexcept;

    [[nodiscard]] socket_type& socket() noexcept { return socket_; }
    /// The wait on the socket after an attempt that ended with want_read or want_write.
    [[nodiscard]] static socket_type::wait_type wait_after(io_status status) noexcept {
        return status == io_status::want_write ? socket_type::wait_write : socket_type::wait_read;
    }

  protected:
    [[nodiscard]] int fd() const noexcept { return fd_; }
    void count_sent(std::size_t bytes) noexcept { sent_bytes_ += bytes; }

  private:
    socket_type socket_;
    const int fd_ = socket_.native_handle();
    std::uint64_t sent_bytes_ = 0;
};

[[nodiscard]] std::unique_ptr<stream> make_plain_stream(stream::socket_type);

}  // namespace keepstore::net
