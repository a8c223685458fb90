#include "net/tls/tls_server_context.hpp"

#include "base/log.hpp"
#include "net/tls/ssl_context.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace keepstore::net {
namespace {

/// Only HTTP/1.1 is spoken; a client that offers only other protocols gets an alert.
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

/// OpenSSL asks it for the passphrase of a PEM file. Its own callback would read from the terminal, for ever.
int refuse_passphrase(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

result<std::shared_ptr<SSL_CTX>> make_context(const std::string& certificate, const std::string& key) {
    KS_TRY(auto context, make_ssl_context(TLS_server_method()));
    SSL_CTX* c = context.get();
    // docs/interface.md 2.9: ECDHE with AEAD suites only, the two curves that all clients have.
    const bool configured = SSL_CTX_set_cipher_list(c,
                                                    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                                    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                                    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") &&
                            SSL_CTX_set1_groups_list(c, "X25519:P-256");
    if (!configured) return tls_error("cannot configure TLS");
    SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(c, select_protocol, nullptr);
    bool passphrase_wanted = false;
    SSL_CTX_set_default_passwd_cb(c, refuse_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(c, &passphrase_wanted);
    if (SSL_CTX_use_certificate_chain_file(c, certificate.c_str()) != 1) {
        return tls_error("cannot read the TLS certificate " + certificate);
    }
    if (SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) != 1) {
        if (passphrase_wanted) {
            ERR_clear_error();
            return fail(errc::bad_request, "the TLS key " + key +
                                               " is encrypted: passphrases are not supported; decrypt it with openssl "
                                               "pkey, and protect it by the permissions of the file");
        }
        return tls_error("cannot use the TLS key " + key);
    }
    if (SSL_CTX_check_private_key(c) != 1) return tls_error("TLS key does not belong to the certificate");
    SSL_CTX_set_default_passwd_cb_userdata(c, nullptr);
    SSL_CTX_set_default_passwd_cb(c, nullptr);
    return context;
}

}  // namespace

tls_server_context::tls_server_context(std::filesystem::path certificate, std::filesystem::path key,
                                       std::shared_ptr<ssl_ctx_st> context)
    : certificate_(std::move(certificate)), key_(std::move(key)), current_(std::move(context)) {}

result<std::shared_ptr<tls_server_context>> tls_server_context::load(std::filesystem::path certificate,
                                                                     std::filesystem::path key) {
    KS_TRY(auto context, make_context(certificate.string(), key.string()));
    return std::shared_ptr<tls_server_context>(
        new tls_server_context(std::move(certificate), std::move(key), std::move(context)));
}

bool tls_server_context::reload() {
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

std::shared_ptr<ssl_ctx_st> tls_server_context::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

}  // namespace keepstore::net
