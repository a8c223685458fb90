#include "tests/net/server/session_fixture.hpp"
#include "tests/net/server/transport_fixture.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::test;
using net::cancel_reason;
using net::server_exchange;

namespace {

/// Answers without reading the body.
awaitable<void> deny(server_exchange& x) {
    static_cast<void>(co_await x.send(403, "no\n"));
}

}  // namespace

TEST_CASE("a connection serves one request after the other", "[router][session]") {
    transport t(echo);
    raw_client c(t.port);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(c.send(get));
        const auto r = c.response();
        CHECK(status_line(r) == "HTTP/1.1 200 OK");
        CHECK(r.find("Content-Length: 7\r\n") != std::string::npos);
        CHECK(r.find("\r\nDate: ") != std::string::npos);
        CHECK(r.find("Connection:") == std::string::npos);
        CHECK(r.find("Server:") == std::string::npos);
        CHECK(body_of(r) == "GET /a ");
    }
    CHECK(t.server->snapshot().connections_total == 1);
}

TEST_CASE("pipelined requests get their responses in order", "[router][session]") {
    transport t(echo);
    raw_client c(t.port);
    std::string all;
    for (int i = 0; i < 200; ++i) {
        all += "PUT /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    }
    REQUIRE(c.send(all));
    for (int i = 0; i < 200; ++i) CHECK(body_of(c.response()) == "PUT /" + std::to_string(i) + " abc");
}

TEST_CASE("a request that arrives byte by byte is served", "[router][session]") {
    transport t(echo);
    raw_client c(t.port);
    const std::string request =
        "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nT: v\r\n\r\n";
    for (const char byte : request) REQUIRE(c.send({&byte, 1}));
    CHECK(body_of(c.response()) == "PUT /x abcde");
    REQUIRE(c.send(get));
    CHECK(body_of(c.response()) == "GET /a ");
}

TEST_CASE("a chunked body is decoded wherever it is split", "[router][body]") {
    transport t(echo);
    const std::string head = "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string body = "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
    raw_client c(t.port);
    for (std::size_t split = 0; split <= body.size(); ++split) {
        REQUIRE(c.send(head + body.substr(0, split)));
        // The rest goes with the next request, so that the decoder must stop at the right byte.
        REQUIRE(c.send(body.substr(split) + get));
        CHECK(body_of(c.response()) == "PUT /x hello0123456789");
        CHECK(body_of(c.response()) == "GET /a ");
    }
}

TEST_CASE("broken chunks are reported and close the connection", "[router][body]") {
    transport t(echo, quick_options());
    for (const auto* bad : {"x\r\n", "5\r\nhelloX\r\n", "5\nhello", " 5\r\nhello\r\n", "5 \r\nhello\r\n", "-5\r\n",
                            "0x5\r\n", "\r\n", "11111111111111111\r\n", "0\r\nbad\ntrailer\r\n\r\n"}) {
        INFO(bad);
        raw_client c(t.port);
        REQUIRE(c.send(std::string("PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n") + bad));
        const auto r = c.response();
        CHECK(status_line(r) == "HTTP/1.1 400 Bad Request");
        CHECK(r.find("Connection: close\r\n") != std::string::npos);
        CHECK(c.ended());
    }
}

TEST_CASE("100 Continue is sent when the body is read", "[router][session]") {
    transport t(echo);
    raw_client c(t.port);
    REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
    CHECK(c.response() == "HTTP/1.1 100 Continue\r\n\r\n");
    REQUIRE(c.send("abc"));
    CHECK(body_of(c.response()) == "PUT /x abc");
    REQUIRE(c.send(get));
    CHECK(body_of(c.response()) == "GET /a ");
}

TEST_CASE(
    "a refusal without reading the body is sent at once, and the connection kept only if the next request can be found",
    "[router][session]") {
    transport t(deny, quick_options());
    SECTION("the client waits for 100 Continue") {
        raw_client c(t.port);
        REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
        const auto r = c.response();
        CHECK(status_line(r) == "HTTP/1.1 403 Forbidden");
        CHECK(r.find("Connection: close\r\n") != std::string::npos);
        CHECK(c.ended());
    }
    SECTION("a small body that comes later leaves the connection open") {
        raw_client c(t.port);
        REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
        CHECK(status_line(c.response()) == "HTTP/1.1 403 Forbidden");
        REQUIRE(c.send(std::string(100000, 'b')));
        REQUIRE(c.send(get));
        CHECK(status_line(c.response()) == "HTTP/1.1 403 Forbidden");
    }
    SECTION("a large body closes it, and the response can still be read") {
        raw_client c(t.port);
        REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n"));
        c.send(std::string(8000000, 'b'));
        const auto r = c.response();
        CHECK(status_line(r) == "HTTP/1.1 403 Forbidden");
        CHECK(r.find("Connection: close\r\n") != std::string::npos);
        CHECK(c.ended());
        CHECK_FALSE(c.reset());
    }
}

TEST_CASE("HEAD gets the head of the response only", "[router][session]") {
    transport t(echo);
    raw_client c(t.port);
    REQUIRE(c.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" + get));
    const auto r = c.response(true);
    CHECK(r.find("Content-Length: 8\r\n") != std::string::npos);
    CHECK(body_of(r).empty());
    CHECK(body_of(c.response()) == "GET /a ");
}

TEST_CASE("responses are framed by length, by chunks, or by the end of the connection", "[router][session]") {
    transport t(stream, quick_options());
    SECTION("length") {
        raw_client c(t.port);
        REQUIRE(c.send("GET /3000000 HTTP/1.1\r\nHost: h\r\n\r\n"));
        CHECK(body_of(c.response()) == std::string(3000000, 'x'));
    }
    SECTION("chunks") {
        raw_client c(t.port);
        REQUIRE(c.send("GET /200000?chunked HTTP/1.1\r\nHost: h\r\n\r\n"));
        const std::string chunk = "186a0\r\n" + std::string(100000, 'x') + "\r\n";
        CHECK(body_of(c.response()) == chunk + chunk + "0\r\n\r\n");
    }
    SECTION("the end, for HTTP/1.0") {
        raw_client c(t.port);
        REQUIRE(c.send("GET /200000?chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        const auto r = c.all();
        CHECK(r.find("Transfer-Encoding") == std::string::npos);
        CHECK(body_of(r) == std::string(200000, 'x'));
    }
    SECTION("a body shorter than announced ends the connection") {
        raw_client c(t.port);
        REQUIRE(c.send("GET /1000?short HTTP/1.1\r\nHost: h\r\n\r\n"));
        CHECK(body_of(c.response()).size() == 999);
        CHECK(c.ended());
    }
    SECTION("an aborted chunked body has no last chunk") {
        raw_client c(t.port);
        c.send("GET /100000?abort HTTP/1.1\r\nHost: h\r\n\r\n");
        const auto r = c.all();
        CHECK(body_of(r).size() == 100000);
        raw_client d(t.port);
        d.send("GET /0?chunked HTTP/1.1\r\nHost: h\r\n\r\n");
        CHECK(body_of(d.response()) == "0\r\n\r\n");
    }
}

TEST_CASE("HTTP/1.0 and Connection headers decide whether the connection is kept", "[router][session]") {
    transport t(echo, quick_options());
    const auto closes = [&](const std::string& request, std::string_view header) {
        raw_client c(t.port);
        REQUIRE(c.send(request));
        const auto r = c.response();
        CHECK(r.find(header) != std::string::npos);
        c.send(get);
        return c.response().empty();
    };
    CHECK(closes("GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n"));
    CHECK_FALSE(closes("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "Connection: keep-alive\r\n"));
    CHECK(closes("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, close\r\n\r\n", "Connection: close\r\n"));
}

TEST_CASE("malformed heads are refused with the reason and the connection is closed", "[router][session]") {
    transport t(echo, quick_options());
    const auto answer = [&](std::string_view request) {
        raw_client c(t.port);
        c.send(request);
        return c.all();
    };
    const auto r = answer("GET / HTTP/1.1\r\nA: b\r\n\r\n");
    CHECK(status_line(r) == "HTTP/1.1 400 Bad Request");
    CHECK(r.find("Connection: close\r\n") != std::string::npos);
    CHECK(r.find("Content-Type: text/plain; charset=utf-8\r\n") != std::string::npos);
    CHECK(body_of(r) == "400 Bad Request: missing required Host header");
    CHECK(status_line(answer("\r\n")) == "HTTP/1.1 400 Bad Request");
    CHECK(status_line(answer("GET / HTTP/1.1\n")) == "HTTP/1.1 400 Bad Request");
    CHECK(status_line(answer("GET / HTTP/1.1\r\nA: " + std::string(70000, 'a'))) ==
          "HTTP/1.1 431 Request Header Fields Too Large");
    CHECK(status_line(answer("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) == "HTTP/1.1 505 HTTP Version Not Supported");
    const auto expect = answer("GET / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n");
    CHECK(status_line(expect) == "HTTP/1.1 417 Expectation Failed");
    CHECK(body_of(expect).empty());
    CHECK(t.server->snapshot().refused_total == 6);
    CHECK(t.handler.finished == 0);
}

TEST_CASE("the session itself responds to OPTIONS *", "[router][session]") {
    transport t(deny);
    raw_client c(t.port);
    REQUIRE(c.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"));
    const auto r = c.response();
    CHECK(status_line(r) == "HTTP/1.1 200 OK");
    CHECK(r.find("Content-Length: 0\r\n") != std::string::npos);
    CHECK(t.handler.finished == 0);
}

TEST_CASE("response headers cannot be split and unknown statuses have a phrase", "[router][session]") {
    transport t([](server_exchange& x) -> awaitable<void> {
        x.set_header("X-A", "one\r\nX-B: two");
        static_cast<void>(co_await x.send(499, ""));
    });
    raw_client c(t.port);
    REQUIRE(c.send(get));
    const auto r = c.response();
    CHECK(status_line(r) == "HTTP/1.1 499 status code 499");
    CHECK(r.find("\r\nX-A: one  X-B: two\r\n") != std::string::npos);
}

TEST_CASE("a handler that throws or sends no response closes the connection", "[router][session]") {
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            if (x.head().path == "/throw") throw std::runtime_error("on purpose");
            co_return;
        },
        quick_options());
    for (const auto* path : {"/throw", "/silent"}) {
        raw_client c(t.port);
        REQUIRE(c.send(std::string("GET ") + path + " HTTP/1.1\r\nHost: h\r\n\r\n"));
        CHECK(c.ended());
    }
}

TEST_CASE("only one response is sent for a request", "[router][session]") {
    transport t([](server_exchange& x) -> awaitable<void> {
        const auto first = co_await x.send(200, "one");
        const auto second = co_await x.send(500, "two");
        const auto third = co_await x.start(500, 3);
        if (!first || second || third) throw std::runtime_error("sent twice");
    });
    raw_client c(t.port);
    REQUIRE(c.send(get + get));
    CHECK(body_of(c.response()) == "one");
    CHECK(body_of(c.response()) == "one");
}
