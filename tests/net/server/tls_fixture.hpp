/// Certificates and a TLS client for tests of the transport.
#pragma once

#include "tests/net/server/transport_fixture.hpp"

#include <catch2/catch.hpp>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace keepstore::test {

/// Writes a self-signed certificate for `name` and its key (P-256).
inline void make_certificate(const std::filesystem::path& folder, const char* name) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> x(X509_new(), X509_free);
    ASN1_INTEGER_set(X509_get_serialNumber(x.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(x.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(x.get()), 3600);
    X509_set_pubkey(x.get(), key.get());
    X509_NAME* subject = X509_get_subject_name(x.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(x.get(), subject);
    X509_sign(x.get(), key.get(), EVP_sha256());
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> c(std::fopen((folder / "cert.pem").c_str(), "w"),
                                                            std::fclose);
    PEM_write_X509(c.get(), x.get());
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> k(std::fopen((folder / "key.pem").c_str(), "w"), std::fclose);
    PEM_write_PrivateKey(k.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

/// A blocking TLS client without verification.
class tls_client {
  public:
    explicit tls_client(std::uint16_t port, int version_max = TLS1_3_VERSION, std::string_view alpn = "",
                        int receive_buffer = 0, unsigned char fragment = TLSEXT_max_fragment_length_DISABLED)
        : raw_(port, receive_buffer),
          context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
          ssl_(nullptr, SSL_free) {
        SSL_CTX_set_max_proto_version(context_.get(), version_max);
        SSL_CTX_set_security_level(context_.get(), 0);
        ssl_.reset(SSL_new(context_.get()));
        SSL_set_tlsext_max_fragment_length(ssl_.get(), fragment);
        if (!alpn.empty()) {
            SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                                static_cast<unsigned>(alpn.size()));
        }
        SSL_set_fd(ssl_.get(), raw_.fd());
        connected = SSL_connect(ssl_.get()) == 1;
    }
    std::string peer_name() {
        const std::unique_ptr<X509, decltype(&X509_free)> x(SSL_get1_peer_certificate(ssl_.get()), X509_free);
        char name[64] = {};
        X509_NAME_get_text_by_NID(X509_get_subject_name(x.get()), NID_commonName, name, sizeof name);
        return name;
    }
    void send(std::string_view text) { REQUIRE(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0); }
    std::string receive(std::size_t size) {
        std::string text;
        char piece[16384];
        while (text.size() < size) {
            const int n = SSL_read(ssl_.get(), piece, sizeof piece);
            if (n <= 0) break;
            text.append(piece, static_cast<std::size_t>(n));
        }
        return text;
    }
    /// One piece of at most `size` bytes; empty at the end.
    std::string receive_some(std::size_t size) {
        std::string text(size, '\0');
        const int n = SSL_read(ssl_.get(), text.data(), static_cast<int>(size));
        text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return text;
    }
    void close() { raw_.close(); }
    SSL* ssl() { return ssl_.get(); }

    bool connected = false;

  private:
    raw_client raw_;
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

}  // namespace keepstore::test
