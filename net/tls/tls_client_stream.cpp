#include "net/tls/tls_client_stream.hpp"
#include "net/tls/tls_client_context.hpp"
#include "net/tls/tls_stream.hpp"

#include <boost/asio/ip/address.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <sys/uio.h>

#include <array>

namespace keepstore::net {
namespace {

class tls_transport final : public transport {
  public:
    tls_transport(socket_type socket, const endpoint& to, std::shared_ptr<tls_context> context)
        : transport(std::move(socket)),
          place_{std::move(context), to_string(to)},
          stream_(place_.context->get(), fd()) {
        SSL* const s = stream_.native();
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
        const auto status = stream_.handshake();
        if (status == io_status::failed) note_failure();
        return {status, 0};
    }
    failure handshake_failure() const noexcept override { return failure_; }
    std::string handshake_error() const override { return error_; }

    io_outcome try_read(std::span<std::byte> into) noexcept override { return stream_.read(into); }

    io_outcome try_write(std::span<const iovec> buffers) noexcept override {
        std::array<std::byte, tls_record_bytes_max> record;
        return stream_.write(next_record(buffers, record));
    }

    bool has_buffered_input() const noexcept override { return stream_.has_buffered_input(); }

    bool is_quiet() noexcept override { return stream_.peek() == io_status::want_read; }

    void say_goodbye() noexcept override { stream_.say_goodbye(); }

  private:
    void note_failure() {
        const long verdict = SSL_get_verify_result(stream_.native());
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
    tls_stream stream_;
    bool ready_ = false;
    failure failure_ = failure::tls;
    std::string error_;
};

}  // namespace

std::unique_ptr<transport> make_tls_transport(transport::socket_type socket, const endpoint& to,
                                              std::shared_ptr<tls_context> context) {
    return std::make_unique<tls_transport>(std::move(socket), to, std::move(context));
}

}  // namespace keepstore::net
