#include "net/tls/tls_client_stream.hpp"

#include <boost/asio/ip/address.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <sys/uio.h>

#include <array>

namespace keepstore::net {

tls_client_stream::tls_client_stream(socket_type socket, const endpoint& to,
                                     std::shared_ptr<tls_client_context> context)
    : tls_stream(std::move(socket), context->get()), key_{std::move(context), to_string(to)} {
    SSL* const s = native();
    SSL_set_connect_state(s);
    SSL_set_app_data(s, &key_);
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
    if (const auto session = key_.context->find_session(key_.server)) SSL_set_session(s, session.get());
}

io_status tls_client_stream::handshake() {
    if (!ready_) {
        error_ = "the host name cannot be used with TLS";
        return io_status::failed;
    }
    const auto status = tls_stream::handshake();
    if (status == io_status::failed) note_failure();
    return status;
}

io_outcome tls_client_stream::try_write(std::span<const iovec> buffers) noexcept {
    std::array<std::byte, tls_record_bytes_max> record;
    return write_record(next_record(buffers, record));
}

void tls_client_stream::note_failure() {
    const long verified = SSL_get_verify_result(native());
    if (verified != X509_V_OK && !key_.context->insecure()) {
        certificate_rejected_ = true;
        error_ = X509_verify_cert_error_string(verified);
        return;
    }
    const auto code = ERR_peek_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    error_ = reason ? reason : "the connection was closed";
}

}  // namespace keepstore::net
