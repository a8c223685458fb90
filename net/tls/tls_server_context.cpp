#include "net/tls/tls_server_context.hpp"

#include "base/log.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string_view>

namespace keepstore::net {
namespace {

/// HTTP/1.1 is all we speak; a client that offers only other protocols is told so.
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                    void*) {
    static constexpr unsigned char ours[] = "\x08http/1.1";
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

std::unexpected<error> tls_failure(std::string_view what) {
    std::string text(what);
    if (const auto code = ERR_get_error()) {
        const char* reason = ERR_reason_error_string(code);
        text += fmt::format(": {}", reason ? reason : "unknown error");
    }
    ERR_clear_error();
    return fail(errc::bad_request, std::move(text));
}

result<std::shared_ptr<SSL_CTX>> make_context(const std::string& certificate, const std::string& key) {
    ERR_clear_error();
    const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    if (!context) return tls_failure("cannot make a TLS context");
    SSL_CTX* c = context.get();
    // docs/interface.md 2.9: TLS 1.2 and later, ECDHE with AEAD suites only, the two curves that everybody has.
    const bool configured = SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) &&
                            SSL_CTX_set_cipher_list(c,
                                                    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                                    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                                    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") &&
                            SSL_CTX_set1_groups_list(c, "X25519:P-256");
    if (!configured) return tls_failure("cannot configure TLS");
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_IGNORE_UNEXPECTED_EOF);
    // Idle connections hold no record buffers.
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(c, select_protocol, nullptr);
    if (SSL_CTX_use_certificate_chain_file(c, certificate.c_str()) != 1) {
        return tls_failure("cannot read the TLS certificate " + certificate);
    }
    if (SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) != 1) {
        return tls_failure("cannot use the TLS key " + key);
    }
    if (SSL_CTX_check_private_key(c) != 1) return tls_failure("TLS key does not belong to the certificate");
    return context;
}

}  // namespace

server_tls_context::server_tls_context(std::filesystem::path certificate, std::filesystem::path key,
                                       std::shared_ptr<ssl_ctx_st> context)
    : certificate_(std::move(certificate)), key_(std::move(key)), current_(std::move(context)) {}

result<std::shared_ptr<server_tls_context>> server_tls_context::load(std::filesystem::path certificate,
                                                                     std::filesystem::path key) {
    auto context = make_context(certificate.string(), key.string());
    if (!context) return std::unexpected(std::move(context.error()));
    return std::shared_ptr<server_tls_context>(
        new server_tls_context(std::move(certificate), std::move(key), std::move(*context)));
}

bool server_tls_context::reload() {
    auto context = make_context(certificate_.string(), key_.string());
    if (!context) {
        log::warning("TLS certificate could not be read again, the old one stays in use",
                     {{"error", context.error().text}});
        return false;
    }
    const std::lock_guard lock(mutex_);
    current_ = std::move(*context);
    return true;
}

std::shared_ptr<ssl_ctx_st> server_tls_context::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

}  // namespace keepstore::net
