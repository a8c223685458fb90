#include "net/tls/tls_client_context.hpp"

#include "net/limits.hpp"
#include "net/tls/ssl_context.hpp"

#include <openssl/ssl.h>
#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <map>
#include <utility>

namespace keepstore::net {
namespace {

/// \returns 1: the reference was taken over.
int new_session(SSL* ssl, SSL_SESSION* session) {
    const auto* key = static_cast<session_key*>(SSL_get_app_data(ssl));
    key->context->keep_session(key->server, {session, SSL_SESSION_free});
    return 1;
}

/// What a context is made of: the options, and which file that is.
struct context_source {
    std::string ca_file;
    bool insecure = false;
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t changed_at = 0;  // ns

    static context_source of(const std::string& ca_file, bool insecure) {
        context_source out{.ca_file = ca_file, .insecure = insecure};
        struct stat found{};
        if (!ca_file.empty() && ::stat(ca_file.c_str(), &found) == 0) {
            out.device = found.st_dev;
            out.inode = found.st_ino;
            out.size = found.st_size;
            out.changed_at = found.st_ctim.tv_sec * std::int64_t{1'000'000'000} + found.st_ctim.tv_nsec;
        }
        return out;
    }
    auto operator<=>(const context_source&) const = default;
};

/// Contexts that some client still has.
struct live_contexts {
    std::mutex mutex;
    std::map<context_source, std::weak_ptr<tls_client_context>> contexts;  // Guarded by mutex.
};

live_contexts& all_contexts() {
    static live_contexts all;
    return all;
}

}  // namespace

result<std::shared_ptr<tls_client_context>> tls_client_context::make(const std::string& ca_file, bool insecure) {
    auto key = context_source::of(ca_file, insecure);
    auto& all = all_contexts();
    const std::lock_guard lock(all.mutex);
    if (const auto known = all.contexts.find(key); known != all.contexts.end()) {
        if (auto context = known->second.lock()) return context;
    }
    KS_TRY(auto context, load(ca_file, insecure));
    std::erase_if(all.contexts, [](const auto& entry) { return entry.second.expired(); });
    all.contexts.insert_or_assign(std::move(key), context);
    return context;
}

result<std::shared_ptr<tls_client_context>> tls_client_context::load(const std::string& ca_file, bool insecure) {
    KS_TRY(auto context, make_ssl_context(TLS_client_method()));
    SSL_CTX* c = context.get();
    static constexpr unsigned char protocols[] = "\x08http/1.1";
    if (SSL_CTX_set_alpn_protos(c, protocols, sizeof protocols - 1) != 0) return tls_error("cannot configure TLS");
    // SSL_OP_IGNORE_UNEXPECTED_EOF is not set: bodies that end with the connection are told apart from cut ones by
    // close_notify. All others have a length or a final chunk.
    // Sessions are kept by us, by server.
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, new_session);
    if (insecure) {
        SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
    } else {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
        if (ca_file.empty()) {
            if (SSL_CTX_set_default_verify_paths(c) != 1) return tls_error("cannot read the system's certificates");
        } else if (SSL_CTX_load_verify_file(c, ca_file.c_str()) != 1) {
            return tls_error("cannot read the certificate authorities in " + ca_file);
        }
    }
    return std::shared_ptr<tls_client_context>(new tls_client_context(std::move(context), insecure));
}

void tls_client_context::keep_session(const std::string& server, std::shared_ptr<ssl_session_st> session) {
    const std::lock_guard lock(mutex_);
    // Bounded like the address cache; when it is full it starts afresh.
    if (sessions_.size() >= limits::net_addresses_kept_max && !sessions_.contains(server)) sessions_.clear();
    sessions_[server] = std::move(session);
}

std::shared_ptr<ssl_session_st> tls_client_context::find_session(const std::string& server) const {
    const std::lock_guard lock(mutex_);
    const auto at = sessions_.find(server);
    return at == sessions_.end() ? nullptr : at->second;
}

}  // namespace keepstore::net
