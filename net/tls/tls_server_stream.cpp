#include "net/tls/tls_server_stream.hpp"

#include "net/tls/tls_stream.hpp"

#include <openssl/ssl.h>

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <new>
#include <span>
#include <string_view>

namespace keepstore::net {
namespace {

/// The response to a client that speaks plain HTTP to a TLS port (docs/interface.md 2.9).
constexpr std::string_view plain_http_response =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

class tls_server_stream final : public tls_stream {
  public:
    tls_server_stream(socket_type socket, SSL_CTX* context) : tls_stream(std::move(socket), context) {
        SSL_set_accept_state(native());
    }

    io_status handshake() override {
        if (!first_byte_seen_) {
            std::byte first[1];
            const auto peeked = receive_from_socket(fd(), first, MSG_PEEK).status;
            if (peeked != io_status::ok) return peeked == io_status::closed ? io_status::failed : peeked;
            first_byte_seen_ = true;
            // A TLS record begins with 22, a request with the letters of its method.
            const auto c = std::to_integer<unsigned char>(first[0]);
            if (c >= 'A' && c <= 'Z') {
                const iovec text{const_cast<char*>(plain_http_response.data()), plain_http_response.size()};
                static_cast<void>(send_to_socket(fd(), {&text, 1}));
                return io_status::closed;
            }
        }
        return tls_stream::handshake();
    }

    io_outcome try_read(std::span<std::byte> into) noexcept override {
        if (into.empty()) return {};
        // Plain HTTP was refused: further input is only discarded.
        if (!established()) return receive_from_socket(fd(), into, 0);
        return tls_stream::try_read(into);
    }

    io_outcome try_write(std::span<const iovec> buffers) noexcept override {
        const auto flushed = send_pending();
        if (flushed != io_status::ok) return {flushed, 0};
        if (buffers.empty()) return {};
        std::array<std::byte, tls_record_bytes_max> record;
        auto bytes = next_record(buffers, record);
        bytes = bytes.first(std::min(bytes.size(), record.size()));
        const auto written = write_record(bytes);
        if (written.status == io_status::ok || written.status == io_status::failed) return written;
        // OpenSSL has begun with this record and wants the same bytes again, but the caller's may be gone by then.
        pending_.reset(new (std::nothrow) std::byte[bytes.size()]);
        if (!pending_) return {io_status::failed, 0};
        std::ranges::copy(bytes, pending_.get());
        pending_left_ = {pending_.get(), bytes.size()};
        return {io_status::ok, bytes.size()};
    }

    bool has_pending_output() const noexcept override { return !pending_left_.empty(); }

    void shutdown() noexcept override {
        // Within a record that is half sent there is no place for an alert.
        if (!has_pending_output()) tls_stream::shutdown();
    }

  private:
    io_status send_pending() noexcept {
        while (has_pending_output()) {
            const auto written = write_record(pending_left_);
            if (written.status != io_status::ok) return written.status;
            pending_left_ = pending_left_.subspan(written.bytes);
        }
        pending_.reset();  // Most connections are never blocked, and need no such memory.
        return io_status::ok;
    }

    std::unique_ptr<std::byte[]> pending_;  ///< A record that was taken and could not be sent at once.
    std::span<const std::byte> pending_left_;
    bool first_byte_seen_ = false;
};

}  // namespace

std::unique_ptr<stream> make_tls_server_stream(stream::socket_type socket, ssl_ctx_st& context) {
    return std::make_unique<tls_server_stream>(std::move(socket), &context);
}

}  // namespace keepstore::net
