#include "net/tls/tls_client_context.hpp"

#include "base/limits.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string_view>

namespace keepstore::net {
namespace {

std::unexpected<error> tls_failure(std::string text) {
    if (const auto code = ERR_peek_last_error()) {
        const char* reason = ERR_reason_error_string(code);
        text.append(": ").append(reason ? reason : "unknown error");
    }
    ERR_clear_error();
    return fail(errc::bad_request, std::move(text));
}

/// \returns 1: the reference was taken over.
int new_session(SSL* ssl, SSL_SESSION* session) {
    const auto* place = static_cast<session_place*>(SSL_get_app_data(ssl));
    place->context->keep_session(place->server, {session, SSL_SESSION_free});
    return 1;
}

}  // namespace

result<std::shared_ptr<tls_context>> tls_context::make(const std::string& ca_file, bool insecure) {
    ERR_clear_error();
    const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    if (!context) return tls_failure("cannot make a TLS context");
    SSL_CTX* c = context.get();
    static constexpr unsigned char protocols[] = "\x08http/1.1";
    if (SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(c, protocols, sizeof protocols - 1) != 0) {
        return tls_failure("cannot configure TLS");
    }
    // Every body has a length or a final chunk, so that an end without close_notify deceives nobody (bodies that end
    // with the connection are the exception: see http_call).
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // Idle connections hold no record buffers.
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    // Sessions are kept by us, by server.
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, new_session);
    if (insecure) {
        SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
    } else {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
        if (ca_file.empty()) {
            if (SSL_CTX_set_default_verify_paths(c) != 1) return tls_failure("cannot read the system's certificates");
        } else if (SSL_CTX_load_verify_file(c, ca_file.c_str()) != 1) {
            return tls_failure("cannot read the certificate authorities in " + ca_file);
        }
    }
    return std::shared_ptr<tls_context>(new tls_context(context, insecure));
}

void tls_context::keep_session(const std::string& server, std::shared_ptr<ssl_session_st> session) {
    const std::lock_guard lock(mutex_);
    // As many servers as addresses are remembered; beyond, the memory starts afresh.
    if (sessions_.size() >= limits::net_addresses_kept_max && !sessions_.contains(server)) sessions_.clear();
    sessions_[server] = std::move(session);
}

std::shared_ptr<ssl_session_st> tls_context::find_session(const std::string& server) const {
    const std::lock_guard lock(mutex_);
    const auto at = sessions_.find(server);
    return at == sessions_.end() ? nullptr : at->second;
}

}  // namespace keepstore::net
