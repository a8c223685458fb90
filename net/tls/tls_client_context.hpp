/// What all TLS connections of a client share: the trusted authorities, and the sessions that can be resumed.
///
/// Safe to use from any thread.
#pragma once

#include "base/error.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

struct ssl_ctx_st;
struct ssl_session_st;

namespace keepstore::net {

class tls_client_context;

/// Where the sessions of a connection are kept: the application data of each SSL object, which OpenSSL's callback
/// finds.
struct session_key {
    std::shared_ptr<tls_client_context> context;
    std::string server;
};

class tls_client_context {
  public:
    /// Trusts the authorities in `ca_file` (PEM), or the system's if it is empty; checks nothing if `insecure`. Returns
    /// the context that another client with the same options has, as long as the file is unchanged: reading the
    /// system's authorities takes tens of milliseconds.
    /// \returns errc::bad_request if they cannot be read.
    [[nodiscard]] static result<std::shared_ptr<tls_client_context>> make(const std::string& ca_file, bool insecure);

    [[nodiscard]] ssl_ctx_st* get() const noexcept { return context_.get(); }
    [[nodiscard]] bool insecure() const noexcept { return insecure_; }

    /// Sessions by server (net::to_string of the endpoint): a resumed handshake saves the certificates and a signature.
    /// Only sessions whose certificate was checked for that very server are under its name.
    void keep_session(const std::string& server, std::shared_ptr<ssl_session_st>);
    [[nodiscard]] std::shared_ptr<ssl_session_st> find_session(const std::string& server) const;

  private:
    [[nodiscard]] static result<std::shared_ptr<tls_client_context>> load(const std::string& ca_file, bool insecure);
    tls_client_context(std::shared_ptr<ssl_ctx_st> context, bool insecure)
        : context_(std::move(context)), insecure_(insecure) {}

    const std::shared_ptr<ssl_ctx_st> context_;
    const bool insecure_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<ssl_session_st>> sessions_;  ///< Guarded by mutex_.
};

}  // namespace keepstore::net
