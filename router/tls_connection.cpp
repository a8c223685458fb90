#include "net/socket_bio.hpp"
#include "router/connection.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>

namespace keepstore::router {
namespace {

constexpr std::size_t record_bytes_max = 16384;

/// What a client gets that speaks plain HTTP to a TLS port (contract 2.9).
constexpr std::string_view plain_http_answer =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

class tls_connection final : public connection {
  public:
    tls_connection(socket_type socket, std::string remote, const std::shared_ptr<SSL_CTX>& context)
        : connection(std::move(socket), std::move(remote)), context_(context), ssl_(SSL_new(context.get()), SSL_free) {
        BIO* const bio = net::make_socket_bio(wire_);
        SSL_set_bio(ssl_.get(), bio, bio);
        SSL_set_accept_state(ssl_.get());
    }

    io_outcome handshake() noexcept override {
        if (!first_byte_seen_) {
            std::byte first[1];
            const auto peeked = receive_from_socket(fd(), first, MSG_PEEK);
            if (peeked.status != io_status::ok) return {peeked.status == io_status::closed ? io_status::failed : peeked.status, 0};
            first_byte_seen_ = true;
            // A TLS record begins with 22, a request with the letters of its method.
            const auto c = std::to_integer<unsigned char>(first[0]);
            if (c >= 'A' && c <= 'Z') {
                const iovec answer{const_cast<char*>(plain_http_answer.data()), plain_http_answer.size()};
                static_cast<void>(send_to_socket(fd(), {&answer, 1}));
                return {io_status::closed, 0};
            }
        }
        ERR_clear_error();
        const int r = SSL_do_handshake(ssl_.get());
        if (r == 1) {
            established_ = true;
            return {};
        }
        const auto status = status_of(r);
        return {status == io_status::closed ? io_status::failed : status, 0};
    }

    io_outcome try_read(std::span<std::byte> into) noexcept override {
        if (into.empty()) return {};
        // Plain HTTP was refused: what still comes is only thrown away.
        if (!established_) return receive_from_socket(fd(), into, 0);
        // One record at a time; go on while OpenSSL or the socket has more, since each gives at most 16 KiB.
        std::size_t total = 0;
        while (total < into.size()) {
            std::size_t count = 0;
            ERR_clear_error();
            const int r = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &count);
            if (r != 1) return total ? io_outcome{io_status::ok, total} : io_outcome{status_of(r), 0};
            total += count;
        }
        return {io_status::ok, total};
    }

    io_outcome try_write(std::span<const iovec> buffers) noexcept override {
        const auto flushed = send_pending();
        if (flushed != io_status::ok) return {flushed, 0};
        if (buffers.empty()) return {};
        // Small pieces (a head, the start of a body) are put into one record, and so into one packet.
        std::array<std::byte, record_bytes_max> record;
        const void* data = buffers.front().iov_base;
        std::size_t size = buffers.front().iov_len;
        if (size < record.size() && buffers.size() > 1) {
            std::size_t used = 0;
            for (const auto& b : buffers) {
                const std::size_t part = std::min(b.iov_len, record.size() - used);
                std::memcpy(record.data() + used, b.iov_base, part);
                used += part;
            }
            data = record.data();
            size = used;
        }
        size = std::min(size, record.size());
        std::size_t count = 0;
        const auto status = write_record(data, size, count);
        if (status == io_status::ok) return {io_status::ok, count};
        if (status == io_status::failed) return {status, 0};
        // OpenSSL has begun with this record and wants the same bytes again, but the caller's may be gone by then.
        pending_.reset(new (std::nothrow) std::byte[size]);
        if (!pending_) return {io_status::failed, 0};
        std::memcpy(pending_.get(), data, size);
        pending_left_ = {pending_.get(), size};
        return {io_status::ok, size};
    }

    bool has_pending_output() const noexcept override { return !pending_left_.empty(); }

    bool has_buffered_input() const noexcept override { return established_ && SSL_pending(ssl_.get()) > 0; }

    bool peek_closed() noexcept override {
        std::byte one[1];
        std::size_t count = 0;
        ERR_clear_error();
        const int r = SSL_peek_ex(ssl_.get(), one, 1, &count);
        if (r == 1) return false;
        const auto status = status_of(r);
        return status == io_status::closed || status == io_status::failed;
    }

    void shutdown_send() noexcept override {
        ERR_clear_error();
        // Within a record that is half sent there is no place for an alert.
        if (established_ && !broken_ && !has_pending_output()) SSL_shutdown(ssl_.get());
        connection::shutdown_send();
    }

  private:
    /// At most one record (16 KiB), or less where the peer has asked for small ones.
    io_status write_record(const void* data, std::size_t size, std::size_t& count) noexcept {
        ERR_clear_error();
        const int r = SSL_write_ex(ssl_.get(), data, size, &count);
        if (r == 1) return io_status::ok;
        const auto status = status_of(r);
        return status == io_status::closed ? io_status::failed : status;
    }

    io_status send_pending() noexcept {
        while (has_pending_output()) {
            std::size_t count = 0;
            const auto status = write_record(pending_left_.data(), pending_left_.size(), count);
            if (status != io_status::ok) return status;
            pending_left_ = pending_left_.subspan(count);
        }
        pending_.reset();  // Most connections are never blocked, and need no such memory.
        return io_status::ok;
    }

    io_status status_of(int r) noexcept {
        switch (SSL_get_error(ssl_.get(), r)) {
            case SSL_ERROR_WANT_READ:
                return io_status::want_read;
            case SSL_ERROR_WANT_WRITE:
                return io_status::want_write;
            case SSL_ERROR_ZERO_RETURN:
                return io_status::closed;
            default:
                broken_ = true;
                return io_status::failed;
        }
    }

    const std::shared_ptr<SSL_CTX> context_;
    const net::socket_wire wire_{fd(), &sent_bytes_};
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
    std::unique_ptr<std::byte[]> pending_;  ///< A record that was taken and could not be sent at once.
    std::span<const std::byte> pending_left_;
    bool first_byte_seen_ = false;
    bool established_ = false;
    bool broken_ = false;
};

}  // namespace

std::unique_ptr<connection> make_tls_connection(connection::socket_type socket, std::string remote,
                                                const std::shared_ptr<ssl_ctx_st>& context) {
    return std::make_unique<tls_connection>(std::move(socket), std::move(remote), context);
}

}  // namespace keepstore::router
