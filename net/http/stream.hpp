/// A TCP connection, plain or TLS, as the session sees it: attempts that never wait, and a socket to wait on. The
/// common case (data is there, the socket takes it all) is one system call and no coroutine.
///
/// Used on the executor of its session only.
#pragma once

#include "base/async.hpp"
#include "net/http/socket_io.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <system_error>

struct iovec;
struct ssl_ctx_st;

namespace keepstore::net {

using net::io_outcome;
using net::io_status;
using net::receive_from_socket;
using net::send_to_socket;

class connection {
  public:
    using socket_type = asio::ip::tcp::socket;

    connection(socket_type socket, std::string remote) noexcept
        : socket_(std::move(socket)), remote_(std::move(remote)) {}
    virtual ~connection() = default;
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// One step of the opening handshake; ok when done. Plain connections have none.
    [[nodiscard]] virtual io_outcome handshake() noexcept { return {}; }
    [[nodiscard]] virtual io_outcome try_read(std::span<std::byte> into) noexcept = 0;
    /// Takes a prefix of the buffers (at most 64), which are the caller's again afterwards. TLS may keep what it took
    /// and could not send; that goes first with the next attempt, and with no buffers it is all that is attempted.
    [[nodiscard]] virtual io_outcome try_write(std::span<const iovec> buffers) noexcept = 0;
    /// Whether bytes were taken and not given to the kernel.
    [[nodiscard]] virtual bool has_pending_output() const noexcept { return false; }
    /// Whether bytes are there that waiting for the socket would not show.
    [[nodiscard]] virtual bool has_buffered_input() const noexcept { return false; }
    /// Whether the peer has closed its direction or reset. Takes no data out.
    [[nodiscard]] virtual bool peek_closed() noexcept = 0;
    /// Whether input is waiting in the socket.
    [[nodiscard]] bool has_unread_input() const noexcept;

    /// Ends our direction: the peer reads what was sent, then the end.
    virtual void shutdown_send() noexcept;
    /// Gives the socket up. What was written is still delivered, unless `reset`.
    void close(bool reset) noexcept;

    /// Bytes that the peer has acknowledged, as counted on the wire.
    [[nodiscard]] std::uint64_t acknowledged_bytes() const noexcept;
    [[nodiscard]] std::uint64_t sent_bytes() const noexcept { return sent_bytes_; }
    /// In the kernel's send buffer, or under way (SIOCOUTQ).
    [[nodiscard]] std::size_t unsent_bytes() const noexcept;
    /// From now on the kernel takes no more output when it has this much that is not under way (TCP_NOTSENT_LOWAT), but
    /// for the rest of a packet. 0: as much as it likes.
    void limit_unsent(std::size_t bytes) noexcept;

    [[nodiscard]] const std::string& remote_address() const noexcept { return remote_; }
    [[nodiscard]] socket_type& socket() noexcept { return socket_; }

  protected:
    [[nodiscard]] int fd() const noexcept { return fd_; }

    socket_type socket_;
    const int fd_ = socket_.native_handle();
    std::uint64_t sent_bytes_ = 0;

  private:
    const std::string remote_;
};

[[nodiscard]] std::unique_ptr<connection> make_plain_connection(connection::socket_type, std::string remote);

/// TLS as the server's end, by OpenSSL directly on the socket (Asio's stream would hold 34 KiB of buffers for each idle
/// connection). A peer that speaks plain HTTP is told so, in plain text, and the handshake fails. Shares `context`.
[[nodiscard]] std::unique_ptr<connection> make_tls_connection(connection::socket_type, std::string remote,
                                                              const std::shared_ptr<ssl_ctx_st>& context);

}  // namespace keepstore::net
