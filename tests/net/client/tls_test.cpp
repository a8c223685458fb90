#include "net/tls/tls_client_context.hpp"
#include "tests/net/client/script_server.hpp"
#include "tests/net/client/tls_identity.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <memory>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;
using net::failure;

namespace {

script_server::script_type serve_blocks(const std::string& body) {
    return [body](peer& p, int) {
        while (!p.head().empty()) p.answer(body);
    };
}

}  // namespace

TEST_CASE("TLS connections are checked, used and kept", "[net][tls]") {
    const tls_files files;
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const auto context = serve_as(make_identity(&files.authority(), "DNS:localhost,IP:127.0.0.1"), version);
    const std::string body(3 * MiB, 'b');
    script_server s(serve_blocks(body), context.get());
    const auto c = make_client({.ca_file = files.ca_file});
    for (const char* name : {"localhost", "127.0.0.1"}) {
        INFO(name);
        const auto all = run(call_in_turn(c, {.to = s.to(name)}, 3));
        for (const auto& a : all) {
            CHECK(a.error_text() == "");
            CHECK(a.body == body);
        }
    }
    CHECK(c.counters().connections_opened.value() == 2);
    CHECK(c.counters().connections_reused.value() == 4);
}

TEST_CASE("TLS uploads arrive, and responses meanwhile are seen", "[net][tls][upload]") {
    const tls_files files;
    const auto context = serve_as(make_identity(&files.authority(), "IP:127.0.0.1"));
    const auto c = make_client({.ca_file = files.ca_file});
    const std::string body(20'000'000, 'u');
    SECTION("whole") {
        std::string got;
        script_server s(
            [&](peer& p, int) {
                p.head();
                got = p.body(body.size());
                p.answer("ok");
            },
            context.get());
        CHECK(call_once(c, {.method = "PUT", .to = s.to(), .body = {slice_of(body)}}).body == "ok");
        s.stop();
        CHECK(got == body);
    }
    SECTION("refused") {
        script_server s(
            [&](peer& p, int) {
                p.head();
                p.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
                p.wait_closed();
            },
            context.get());
        const auto a = call_once(c, {.method = "PUT", .to = s.to(), .body = {slice_of(body)}});
        CHECK(a.status == 403);
        CHECK(a.body == "no");
    }
}

TEST_CASE("invalid certificates are refused, with the reason", "[net][tls]") {
    const tls_files files;
    const auto refusal = [&](const identity& id, const char* host = "localhost") {
        const auto context = serve_as(id);
        script_server s(serve_blocks("ok"), context.get());
        const auto c = make_client({.ca_file = files.ca_file});
        const auto a = call_once(c, {.to = s.to(host)});
        CHECK(a.failed_with(errc::unavailable, failure::certificate));
        CHECK(c.counters().connections_opened.value() == 0);
        const auto careless = make_client({.tls_insecure = true});
        CHECK(call_once(careless, {.to = s.to(host)}).body == "ok");
        return a.error_text();
    };
    const auto* ca = &files.authority();
    CHECK_THAT(refusal(make_identity(ca, "DNS:other.test")), Catch::Contains("mismatch"));
    CHECK_THAT(refusal(make_identity(ca, "DNS:localhost"), "127.0.0.1"), Catch::Contains("mismatch"));
    CHECK_THAT(refusal(make_identity(ca, "DNS:localhost", -7200, -3600)), Catch::Contains("expired"));
    CHECK_THAT(refusal(make_identity(ca, "DNS:localhost", 3600, 7200)), Catch::Contains("not yet valid"));
    CHECK_THAT(refusal(make_identity(nullptr, "DNS:localhost")),
               Catch::Contains("self-signed") || Catch::Contains("self signed"));
    const auto stranger = make_identity(nullptr, "");
    CHECK_THAT(refusal(make_identity(&stranger, "DNS:localhost")),
               Catch::Contains("issuer") || Catch::Contains("signature"));
    // The common name does not count.
    CHECK_THAT(refusal(make_identity(ca, "DNS:other.test")), Catch::Contains("certificate"));
}

TEST_CASE("servers that do not speak TLS, or only an old version, are named in the error", "[net][tls]") {
    const tls_files files;
    const auto c = make_client({.ca_file = files.ca_file});
    SECTION("plain HTTP") {
        script_server s([](peer& p, int) {
            p.body(5);
            p.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        auto to = s.to();
        to.tls = true;
        CHECK(call_once(c, {.to = to}).failed_with(errc::unavailable, failure::tls));
    }
    SECTION("TLS 1.1") {
        const auto context = serve_as(make_identity(&files.authority(), "DNS:localhost"), TLS1_1_VERSION);
        script_server s(serve_blocks("ok"), context.get());
        CHECK(call_once(c, {.to = s.to("localhost")}).failed_with(errc::unavailable, failure::tls));
    }
    SECTION("closes at once") {
        script_server s([](peer&, int) {});
        auto to = s.to();
        to.tls = true;
        CHECK(call_once(c, {.to = to}).failed_with(errc::unavailable, failure::tls));
    }
    SECTION("plain HTTP to a TLS port") {
        const auto context = serve_as(make_identity(&files.authority(), "DNS:localhost"));
        script_server s(serve_blocks("ok"), context.get());
        auto to = s.to();
        to.tls = false;
        CHECK(call_once(c, {.to = to}).failed);
    }
}

TEST_CASE("a TLS body that ends with the connection needs close_notify", "[net][tls]") {
    const tls_files files;
    const auto context = serve_as(make_identity(&files.authority(), "IP:127.0.0.1"));
    const auto c = make_client({.ca_file = files.ca_file});
    bool says_goodbye = true;
    SECTION("sent") {}
    SECTION("not sent: the body may be truncated") {
        says_goodbye = false;
    }
    script_server s(
        [&](peer& p, int) {
            p.head();
            p.send("HTTP/1.1 200 OK\r\n\r\nall of it");
            if (!says_goodbye) ::shutdown(p.fd(), SHUT_RDWR);
        },
        context.get());
    const auto a = call_once(c, {.to = s.to()});
    if (says_goodbye) {
        CHECK(a.body == "all of it");
    } else {
        CHECK(a.failed_with(errc::unavailable, failure::cut_short));
    }
}

TEST_CASE("TLS sessions are resumed on new connections", "[net][tls]") {
    const tls_files files;
    const auto context = serve_as(make_identity(&files.authority(), "IP:127.0.0.1"));
    std::atomic<int> resumed{0};
    script_server s(
        [&](peer& p, int) {
            p.head();
            resumed += p.session_reused();
            p.answer("ok");
            p.wait_closed();
        },
        context.get());
    const auto c = make_client({.ca_file = files.ca_file});
    const auto all = run(call_in_turn(c, {.to = s.to(), .fresh_connection = true}, 3));
    CHECK(all[2].body == "ok");
    CHECK(s.accepted() == 3);
    CHECK(resumed == 2);
}

TEST_CASE("clients with the same authorities share what was read", "[net][tls]") {
    const tls_files files;
    const auto make = [&](bool insecure = false) {
        return net::tls_client_context::make(files.ca_file, insecure).value();
    };
    auto first = make();
    CHECK(make() == first);
    CHECK(make(true) != first);
    // A file that was written anew is read anew.
    const tls_files others;
    std::filesystem::copy_file(others.ca_file, files.ca_file, std::filesystem::copy_options::overwrite_existing);
    const auto second = make();
    CHECK(second != first);
    CHECK(make() == second);
    // None is kept for clients that are gone.
    const std::weak_ptr<net::tls_client_context> old = first;
    first.reset();
    CHECK(old.expired());
}

TEST_CASE("authorities that cannot be read are an error at the start", "[net][tls]") {
    const temp_dir dir;
    const auto missing = net::client::make({.ca_file = (dir.path() / "none.pem").string()});
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error() == errc::bad_request);
    CHECK_THAT(missing.error().text, Catch::EndsWith("none.pem: No such file or directory"));
}
