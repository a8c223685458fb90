#include "net/tls/ssl_context.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <system_error>

namespace keepstore::net {

std::unexpected<error> tls_error(std::string what) {
    if (const auto code = ERR_peek_error()) {
        const char* reason = ERR_reason_error_string(code);
        // OpenSSL has no texts for errors of the system, such as a file that is not there.
        what.append(": ").append(reason ? reason : std::generic_category().message(ERR_GET_REASON(code)));
    }
    ERR_clear_error();
    return fail(errc::bad_request, std::move(what));
}

result<std::shared_ptr<ssl_ctx_st>> make_ssl_context(const ssl_method_st* method) {
    ERR_clear_error();
    std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
    if (!context) return tls_error("cannot make a TLS context");
    SSL_CTX* c = context.get();
    if (SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1) return tls_error("cannot configure TLS");
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return context;
}

}  // namespace keepstore::net
