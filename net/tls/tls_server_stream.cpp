#include "net/http/stream.hpp"
#include "net/tls/tls_stream.hpp"

#include <openssl/ssl.h>

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <span>
#include <string_view>

namespace keepstore::net {
namespace {

/// What a client gets that speaks plain HTTP to a TLS port (docs/interface.md 2.9).
constexpr std::string_view plain_http_answer =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

class tls_connection final : public connection {
  public:
    tls_connection(socket_type socket, std::string remote, const std::shared_ptr<SSL_CTX>& context)
        : connection(std::move(socket), std::move(remote)),
          context_(context),
          stream_(context.get(), fd(), &sent_bytes_) {
        SSL_set_accept_state(stream_.native());
    }

    io_outcome handshake() noexcept override {
        if (!first_byte_seen_) {
            std::byte first[1];
            const auto peeked = receive_from_socket(fd(), first, MSG_PEEK);
            if (peeked.status != io_status::ok)
                return {peeked.status == io_status::closed ? io_status::failed : peeked.status, 0};
            first_byte_seen_ = true;
            // A TLS record begins with 22, a request with the letters of its method.
            const auto c = std::to_integer<unsigned char>(first[0]);
            if (c >= 'A' && c <= 'Z') {
                const iovec answer{const_cast<char*>(plain_http_answer.data()), plain_http_answer.size()};
                static_cast<void>(send_to_socket(fd(), {&answer, 1}));
                return {io_status::closed, 0};
            }
        }
        return {stream_.handshake(), 0};
    }

    io_outcome try_read(std::span<std::byte> into) noexcept override {
        if (into.empty()) return {};
        // Plain HTTP was refused: what still comes is only thrown away.
        if (!stream_.established()) return receive_from_socket(fd(), into, 0);
        return stream_.read(into);
    }

    io_outcome try_write(std::span<const iovec> buffers) noexcept override {
        const auto flushed = send_pending();
        if (flushed != io_status::ok) return {flushed, 0};
        if (buffers.empty()) return {};
        std::array<std::byte, net::tls_record_bytes_max> record;
        auto bytes = net::next_record(buffers, record);
        bytes = bytes.first(std::min(bytes.size(), record.size()));
        const auto written = stream_.write(bytes);
        if (written.status == io_status::ok || written.status == io_status::failed) return written;
        // OpenSSL has begun with this record and wants the same bytes again, but the caller's may be gone by then.
        pending_.reset(new (std::nothrow) std::byte[bytes.size()]);
        if (!pending_) return {io_status::failed, 0};
        std::ranges::copy(bytes, pending_.get());
        pending_left_ = {pending_.get(), bytes.size()};
        return {io_status::ok, bytes.size()};
    }

    bool has_pending_output() const noexcept override { return !pending_left_.empty(); }

    bool has_buffered_input() const noexcept override { return stream_.has_buffered_input(); }

    bool peek_closed() noexcept override {
        const auto status = stream_.peek();
        return status == io_status::closed || status == io_status::failed;
    }

    void shutdown_send() noexcept override {
        // Within a record that is half sent there is no place for an alert.
        if (!has_pending_output()) stream_.say_goodbye();
        connection::shutdown_send();
    }

  private:
    io_status send_pending() noexcept {
        while (has_pending_output()) {
            const auto written = stream_.write(pending_left_);
            if (written.status != io_status::ok) return written.status;
            pending_left_ = pending_left_.subspan(written.bytes);
        }
        pending_.reset();  // Most connections are never blocked, and need no such memory.
        return io_status::ok;
    }

    const std::shared_ptr<SSL_CTX> context_;
    net::tls_stream stream_;
    std::unique_ptr<std::byte[]> pending_;  ///< A record that was taken and could not be sent at once.
    std::span<const std::byte> pending_left_;
    bool first_byte_seen_ = false;
};

}  // namespace

std::unique_ptr<connection> make_tls_connection(connection::socket_type socket, std::string remote,
                                                const std::shared_ptr<ssl_ctx_st>& context) {
    return std::make_unique<tls_connection>(std::move(socket), std::move(remote), context);
}

}  // namespace keepstore::net
