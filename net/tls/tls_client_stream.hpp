/// A TCP connection, plain or TLS, as the client sees it: attempts that never wait, and a socket to wait on. The common
/// case (data is there, the socket takes it all) is one system call and no coroutine.
///
/// Used on the executor of its event loop only.
#pragma once

#include "base/async.hpp"
#include "net/client/failure.hpp"
#include "net/http/socket_io.hpp"
#include "net/http/url.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace keepstore::net {

class tls_context;

class transport {
  public:
    using socket_type = asio::ip::tcp::socket;

    /// `socket` is connected and in non-blocking mode.
    explicit transport(socket_type socket) noexcept : socket_(std::move(socket)) {}
    virtual ~transport() = default;
    transport(const transport&) = delete;
    transport& operator=(const transport&) = delete;

    /// One step of the opening handshake; ok when done. Plain connections have none.
    [[nodiscard]] virtual io_outcome handshake() { return {}; }
    /// Why the handshake failed.
    [[nodiscard]] virtual failure handshake_failure() const noexcept { return failure::tls; }
    [[nodiscard]] virtual std::string handshake_error() const { return {}; }

    [[nodiscard]] virtual io_outcome try_read(std::span<std::byte> into) noexcept = 0;
    /// Writes a prefix of the buffers (at most 64). After want_read or want_write the next attempt
    /// must begin with the same bytes.
    [[nodiscard]] virtual io_outcome try_write(std::span<const iovec> buffers) noexcept = 0;
    /// Whether bytes are there that waiting for the socket would not show.
    [[nodiscard]] virtual bool has_buffered_input() const noexcept { return false; }
    /// For an idle connection: open, and the server has sent nothing unasked.
    [[nodiscard]] virtual bool is_quiet() noexcept = 0;
    /// Says goodbye where the protocol has a word for it; without waiting. The socket is closed by the destructor.
    virtual void say_goodbye() noexcept {}
    /// The destructor will throw away what was sent and not delivered, and tell the server so (a reset).
    void abandon() noexcept;

    [[nodiscard]] socket_type& socket() noexcept { return socket_; }

  protected:
    [[nodiscard]] int fd() noexcept { return socket_.native_handle(); }

  private:
    socket_type socket_;
};

[[nodiscard]] std::unique_ptr<transport> make_plain_transport(transport::socket_type);

/// TLS as the client's end, by OpenSSL directly on the socket: bodies are decrypted into the caller's memory, and idle
/// connections hold no record buffers (Asio's stream would hold 34 KiB for each).
[[nodiscard]] std::unique_ptr<transport> make_tls_transport(transport::socket_type, const endpoint&,
                                                            std::shared_ptr<tls_context>);

}  // namespace keepstore::net
