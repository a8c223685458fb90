/// TLS on a non-blocking socket: what both ends have in common. OpenSSL works directly on the socket: its own socket
/// BIO would raise SIGPIPE, and Asio's stream would hold 34 KiB of buffers for each idle connection. Bodies are
/// decrypted into the caller's memory.
///
/// Statuses are those of the socket: TLS may have to write in order to read.
#pragma once

#include "net/http/stream.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <span>

struct ssl_ctx_st;
struct ssl_st;

namespace keepstore::net {

/// The largest TLS record (RFC 8446, 5.1).
inline constexpr std::size_t tls_record_bytes_max = 16384;

class tls_stream : public stream {
  public:
    ~tls_stream() override;

    /// A peer that closes during the handshake is a failure.
    io_status handshake() override;
    /// Reads all that is there, record by record, until `into` is full.
    io_outcome try_read(std::span<std::byte> into) noexcept override;
    bool has_buffered_input() const noexcept override;
    /// Also consumes messages that are not for the caller, such as session tickets.
    io_status peek() noexcept override;
    void shutdown() noexcept override;

  protected:
    /// The SSL object holds a reference to `context`. \throws std::bad_alloc.
    tls_stream(socket_type socket, ssl_ctx_st* context);

    /// For what is set before the handshake (role, names, sessions) and read after it.
    [[nodiscard]] ssl_st* native() const noexcept { return ssl_.get(); }
    [[nodiscard]] bool established() const noexcept { return established_; }
    /// Writes at most one record, or less if the peer has negotiated smaller ones. After want_read or want_write
    /// OpenSSL has begun with the record, and must be given the same bytes again.
    [[nodiscard]] io_outcome write_record(std::span<const std::byte> bytes) noexcept;

  private:
    struct bio_functions;
    struct freer {
        void operator()(ssl_st*) const noexcept;
    };

    [[nodiscard]] io_status status_of(int outcome) noexcept;

    const std::unique_ptr<ssl_st, freer> ssl_;
    bool established_ = false;
    bool broken_ = false;  // OpenSSL forbids everything after an error.
};

/// The bytes of the next record: the first buffer, or, when that would leave room, as much as fits of several, copied
/// to `record`, so that a head and the start of a body leave in one packet. `buffers` has at least one.
[[nodiscard]] std::span<const std::byte> next_record(std::span<const iovec> buffers,
                                                     std::array<std::byte, tls_record_bytes_max>& record) noexcept;

}  // namespace keepstore::net
