#include "net/socket_bio.hpp"
#include "net/tls_context.hpp"
#include "net/transport.hpp"

#include <boost/asio/ip/address.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace keepstore::net {
namespace {

constexpr std::size_t record_bytes_max = 16384;

class tls_transport final : public transport {
  public:
    tls_transport(socket_type socket, const endpoint& to, std::shared_ptr<tls_context> context)
        : transport(std::move(socket)), place_{std::move(context), to_string(to)}, wire_{fd()},
          ssl_(SSL_new(place_.context->get()), SSL_free) {
        SSL* s = ssl_.get();
        BIO* const bio = make_socket_bio(wire_);
        SSL_set_bio(s, bio, bio);
        SSL_set_connect_state(s);
        SSL_set_app_data(s, &place_);
        // The name is checked as RFC 6125 says: against subjectAltName; an address only against addresses. A final dot
        // belongs to the name system, not to the certificate.
        std::string name = to.host;
        if (name.ends_with('.')) name.pop_back();
        boost::system::error_code not_address;
        asio::ip::make_address(name, not_address);
        if (not_address) {
            ready_ = SSL_set_tlsext_host_name(s, name.c_str()) == 1 && SSL_set1_host(s, name.c_str()) == 1;
            SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        } else {
            ready_ = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), name.c_str()) == 1;
        }
        if (const auto session = place_.context->find_session(place_.server)) SSL_set_session(s, session.get());
    }

    io_outcome handshake() override {
        if (!ready_) {
            error_ = "the host name cannot be used with TLS";
            return {io_status::failed, 0};
        }
        ERR_clear_error();
        const int r = SSL_do_handshake(ssl_.get());
        if (r == 1) {
            established_ = true;
            return {};
        }
        const auto status = status_of(r);
        if (status == io_status::want_read || status == io_status::want_write) return {status, 0};
        note_failure();
        return {io_status::failed, 0};
    }
    failure handshake_failure() const noexcept override { return failure_; }
    std::string handshake_error() const override { return error_; }

    io_outcome try_read(std::span<std::byte> into) noexcept override {
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
        // Small pieces (a head, the start of a body) are put into one record, and so into one packet.
        std::array<std::byte, record_bytes_max> record;
        const void* data = buffers.front().iov_base;
        std::size_t size = buffers.front().iov_len;
        if (size < record.size() && buffers.size() > 1) {
            std::size_t used = 0;
            for (const auto& b : buffers) {
                const std::size_t part = std::min(b.iov_len, record.size() - used);
                if (part > 0) std::memcpy(record.data() + used, b.iov_base, part);
                used += part;
            }
            data = record.data();
            size = used;
        }
        std::size_t count = 0;
        ERR_clear_error();
        const int r = SSL_write_ex(ssl_.get(), data, size, &count);
        if (r == 1) return {io_status::ok, count};
        const auto status = status_of(r);
        return {status == io_status::closed ? io_status::failed : status, 0};
    }

    bool has_buffered_input() const noexcept override { return established_ && SSL_pending(ssl_.get()) > 0; }

    bool is_quiet() noexcept override {
        // Session tickets may be waiting in the socket: they are taken in here.
        std::byte one[1];
        std::size_t count = 0;
        ERR_clear_error();
        const int r = SSL_peek_ex(ssl_.get(), one, 1, &count);
        return r != 1 && status_of(r) == io_status::want_read;
    }

    void say_goodbye() noexcept override {
        ERR_clear_error();
        if (established_ && !broken_) SSL_shutdown(ssl_.get());
    }

  private:
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

    void note_failure() {
        const long verdict = SSL_get_verify_result(ssl_.get());
        if (verdict != X509_V_OK && !place_.context->insecure()) {
            failure_ = failure::certificate;
            error_ = X509_verify_cert_error_string(verdict);
            return;
        }
        const auto code = ERR_peek_error();
        const char* reason = code ? ERR_reason_error_string(code) : nullptr;
        error_ = reason ? reason : "the connection was closed";
    }

    session_place place_;
    const socket_wire wire_;
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
    bool ready_ = false;
    bool established_ = false;
    bool broken_ = false;
    failure failure_ = failure::tls;
    std::string error_;
};

}  // namespace

std::unique_ptr<transport> make_tls_transport(transport::socket_type socket, const endpoint& to,
                                              std::shared_ptr<tls_context> context) {
    return std::make_unique<tls_transport>(std::move(socket), to, std::move(context));
}

}  // namespace keepstore::net
