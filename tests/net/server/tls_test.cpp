#include "tests/net/server/tls_fixture.hpp"
#include "tests/net/server/transport_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace keepstore;
using namespace keepstore::test;
using net::server_exchange;

namespace {

awaitable<void> sized(server_exchange& x) {
    auto body = co_await x.read_body(64 * MiB);
    if (!body) co_return;
    const std::size_t size = std::stoul(x.head().path.substr(1)) + body->size();
    const std::string text(size, 'x');
    static_cast<void>(co_await x.send(200, text));
}

const std::string get_five = "GET /5 HTTP/1.1\r\nHost: h\r\n\r\n";

}  // namespace

TEST_CASE("TLS connections are served, one request after the other", "[router][tls]") {
    const temp_dir dir;
    make_certificate(dir.path(), "one");
    auto context = net::tls_server_context::load(dir.path() / "cert.pem", dir.path() / "key.pem");
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
        CHECK(eventually([&] { return t.handler.finished == 3; }));
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
    SECTION("plain HTTP gets a response in plain text") {
        raw_client c(t.port);
        REQUIRE(c.send(get_five));
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
        old.send(get_five);
        CHECK(old.receive(1).starts_with("HTTP/1.1 200"));
        std::ofstream(dir.path() / "cert.pem") << "nonsense";
        CHECK_FALSE((*context)->reload());
        CHECK(tls_client(t.port).peer_name() == "two");
    }
}

TEST_CASE("certificates that cannot be used are reported", "[router][tls]") {
    const temp_dir dir;
    CHECK_FALSE(net::tls_server_context::load(dir.path() / "cert.pem", dir.path() / "key.pem").has_value());
    make_certificate(dir.path(), "one");
    std::filesystem::rename(dir.path() / "key.pem", dir.path() / "first.pem");
    make_certificate(dir.path(), "two");
    CHECK_FALSE(net::tls_server_context::load(dir.path() / "cert.pem", dir.path() / "first.pem").has_value());
    CHECK(net::tls_server_context::load(dir.path() / "cert.pem", dir.path() / "key.pem").has_value());
}
