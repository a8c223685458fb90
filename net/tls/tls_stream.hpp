/// TLS directly on a non-blocking socket, for both ends: attempts that never wait. OpenSSL's own socket BIO would raise
/// SIGPIPE, and Asio's stream would hold 34 KiB of buffers for each idle connection.
///
/// Used by one thread at a time. Statuses are those of the socket: TLS may want to write in order to read.
#pragma once

#include "net/http/socket_io.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct ssl_ctx_st;
struct ssl_st;

namespace keepstore::net {

/// The largest TLS record (RFC 8446, 5.1).
inline constexpr std::size_t tls_record_bytes_max = 16384;

class tls_stream {
  public:
    /// `fd` stays the caller's. If `sent_bytes` is given, what goes to the socket is added to it. Both must outlive it.
    /// \throws std::bad_alloc.
    tls_stream(ssl_ctx_st* context, int fd, std::uint64_t* sent_bytes = nullptr);
    ~tls_stream();
    tls_stream(const tls_stream&) = delete;
    tls_stream& operator=(const tls_stream&) = delete;

    /// For what is set before the handshake (which end it is, names, sessions) and asked after it.
    [[nodiscard]] ssl_st* native() const noexcept { return ssl_.get(); }

    /// Goes on with the handshake; a peer that closes in the midst of it is a failure.
    [[nodiscard]] io_status handshake() noexcept;
    [[nodiscard]] bool established() const noexcept { return established_; }

    /// As much as is there.
    [[nodiscard]] io_outcome read(std::span<std::byte> into) noexcept;
    /// Whether decrypted bytes wait, of which the socket does not know.
    [[nodiscard]] bool has_buffered_input() const noexcept;
    /// ok: there are bytes to be read. Takes in what is not meant for the caller, such as session tickets.
    [[nodiscard]] io_status peek() noexcept;

    /// At most one record, or less where the peer has asked for small ones. After want_read or want_write OpenSSL has
    /// begun with the record, and must be given the same bytes again.
    [[nodiscard]] io_outcome write(std::span<const std::byte> bytes) noexcept;

    /// Says that nothing more follows, if there is still somebody to tell.
    void say_goodbye() noexcept;

  private:
    struct wire {
        int fd;
        std::uint64_t* sent_bytes;
    };
    struct wire_functions;
    struct freer {
        void operator()(ssl_st*) const noexcept;
    };

    [[nodiscard]] io_status status_of(int outcome) noexcept;

    const wire wire_;
    const std::unique_ptr<ssl_st, freer> ssl_;
    bool established_ = false;
    bool broken_ = false;  // OpenSSL forbids everything after an error.
};

/// What the next record is made of: the first buffer, or, when that would leave room, as much as fits of several, put
/// together in `record`; so a head and the start of a body leave in one packet. `buffers` has at least one.
[[nodiscard]] std::span<const std::byte> next_record(std::span<const iovec> buffers,
                                                     std::array<std::byte, tls_record_bytes_max>& record) noexcept;

}  // namespace keepstore::net
