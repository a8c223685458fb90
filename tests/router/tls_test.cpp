#include "tests/support/temp_dir.hpp"
#include "tests/router/transport_fixture.hpp"

#include <catch2/catch.hpp>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <fstream>

using namespace keepstore;
using namespace keepstore::test;
using router::exchange;

namespace {

/// Writes a self-signed certificate for `name` and its key (P-256).
void make_certificate(const std::filesystem::path& folder, const char* name) {
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
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> c(std::fopen((folder / "cert.pem").c_str(), "w"), std::fclose);
    PEM_write_X509(c.get(), x.get());
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> k(std::fopen((folder / "key.pem").c_str(), "w"), std::fclose);
    PEM_write_PrivateKey(k.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

/// A blocking TLS client without verification.
class tls_client {
  public:
    explicit tls_client(std::uint16_t port, int version_max = TLS1_3_VERSION, std::string_view alpn = "")
        : raw_(port), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), ssl_(nullptr, SSL_free) {
        SSL_CTX_set_max_proto_version(context_.get(), version_max);
        SSL_CTX_set_security_level(context_.get(), 0);
        ssl_.reset(SSL_new(context_.get()));
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
    SSL* ssl() { return ssl_.get(); }

    bool connected = false;

  private:
    raw_client raw_;
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

awaitable<void> sized(exchange& x) {
    auto body = co_await x.read_body(64 * MiB);
    if (!body) co_return;
    const std::size_t size = std::stoul(x.head().path.substr(1)) + body->size();
    const std::string text(size, 'x');
    static_cast<void>(co_await x.send(200, text));
}

const std::string get = "GET /5 HTTP/1.1\r\nHost: h\r\n\r\n";

}  // namespace

TEST_CASE("TLS connections are served, one request after the other", "[router][tls]") {
    const temp_dir dir;
    make_certificate(dir.path(), "one");
    auto context = router::tls_context::load(dir.path() / "cert.pem", dir.path() / "key.pem");
    REQUIRE(context.has_value());
    transport t(sized, quick_options(), *context);
    SECTION("keep-alive, bodies in both directions larger than any buffer") {
        tls_client c(t.port);
        REQUIRE(c.connected);
        for (int i = 0; i < 3; ++i) {
            c.send("PUT /1000000 HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
            for (int k = 0; k < 30; ++k) c.send(std::string(100'000, 'y'));
            const std::string head = c.receive(1);
            const auto end = head.find("\r\n\r\n") + 4;
            const auto rest = c.receive(end + 4'000'000 - head.size());
            CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
            CHECK(head.size() + rest.size() == end + 4'000'000);
        }
        CHECK(t.handler.finished == 3);
    }
    SECTION("versions before 1.2 are refused, and so are clients that speak HTTP/2 only") {
        CHECK(tls_client(t.port, TLS1_2_VERSION).connected);
        CHECK_FALSE(tls_client(t.port, TLS1_1_VERSION).connected);
        CHECK_FALSE(tls_client(t.port, TLS1_3_VERSION, "\x02h2").connected);
        tls_client both(t.port, TLS1_3_VERSION, "\x02h2\x08http/1.1");
        REQUIRE(both.connected);
        const unsigned char* protocol = nullptr;
        unsigned size = 0;
        SSL_get0_alpn_selected(both.ssl(), &protocol, &size);
        CHECK(std::string_view(reinterpret_cast<const char*>(protocol), size) == "http/1.1");
    }
    SECTION("plain HTTP is told where it is") {
        raw_client c(t.port);
        REQUIRE(c.send(get));
        CHECK(c.all() == "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    }
    SECTION("noise and silence end the connection") {
        raw_client c(t.port);
        REQUIRE(c.send(std::string(100, '\x01')));
        c.all();
        CHECK_FALSE(c.timed_out());
        CHECK(eventually([&] { return t.server->snapshot().connections_open == 0; }));
    }
    SECTION("a new certificate is used for new connections, a bad one is not") {
        tls_client old(t.port);
        CHECK(old.peer_name() == "one");
        make_certificate(dir.path(), "two");
        CHECK((*context)->reload());
        CHECK(tls_client(t.port).peer_name() == "two");
        old.send(get);
        CHECK(old.receive(1).starts_with("HTTP/1.1 200"));
        std::ofstream(dir.path() / "cert.pem") << "nonsense";
        CHECK_FALSE((*context)->reload());
        CHECK(tls_client(t.port).peer_name() == "two");
    }
}

TEST_CASE("certificates that cannot be used are reported", "[router][tls]") {
    const temp_dir dir;
    CHECK_FALSE(router::tls_context::load(dir.path() / "cert.pem", dir.path() / "key.pem").has_value());
    make_certificate(dir.path(), "one");
    std::filesystem::rename(dir.path() / "key.pem", dir.path() / "first.pem");
    make_certificate(dir.path(), "two");
    CHECK_FALSE(router::tls_context::load(dir.path() / "cert.pem", dir.path() / "first.pem").has_value());
    CHECK(router::tls_context::load(dir.path() / "cert.pem", dir.path() / "key.pem").has_value());
}
