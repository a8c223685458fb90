#include "tests/net/server/transport_fixture.hpp"

#include <catch2/catch.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

using namespace keepstore;
using namespace keepstore::test;
using net::cancel_reason;
using net::server_exchange;

namespace {

/// Answers "METHOD path body".
awaitable<void> echo(server_exchange& x) {
    auto body = co_await x.read_body(1 * MiB);
    if (!body) {
        const unsigned status = body.error() == errc::bad_request ? 400 : body.error() == errc::too_large ? 413 : 499;
        static_cast<void>(co_await x.send(status, body.error().text));
        co_return;
    }
    std::string text = x.head().method + " " + x.head().path + " " + *body;
    static_cast<void>(co_await x.send(200, text));
}

/// Takes a large body, and says how large.
awaitable<void> measure(server_exchange& x) {
    auto body = co_await x.read_body(16 * MiB);
    const std::string text = body ? std::to_string(body->size()) : body.error().text;
    static_cast<void>(co_await x.send(body ? 200 : 400, text));
}

/// Answers without reading the body.
awaitable<void> deny(server_exchange& x) {
    static_cast<void>(co_await x.send(403, "no\n"));
}

/// Waits until it is cancelled, then sends 503 if the client is still connected.
awaitable<void> wait_for_ever(server_exchange& x) {
    if (x.head().path == "/deadline") x.set_deadline(deadline::in(50ms));
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(60s);
    static_cast<void>(co_await timer.async_wait(use_tuple));
    if (x.cancelled_because() != cancel_reason::client_gone) static_cast<void>(co_await x.send(503, "late\n"));
}

/// Sends "path" bytes of 'x' in pieces; /N with Content-Length, /N?chunked without, /N?short one byte less.
awaitable<void> stream(server_exchange& x) {
    const std::size_t size = std::stoul(x.head().path.substr(1));
    const bool chunked = x.head().query == "chunked";
    static_cast<void>(co_await x.start(200, chunked ? std::nullopt : std::optional<std::uint64_t>(size)));
    const std::string piece(100'000, 'x');
    std::size_t left = x.head().query == "short" ? size - 1 : size;
    while (left > 0) {
        auto ready = co_await x.wait_writable();
        if (!ready) co_return;
        const std::size_t n = std::min(left, piece.size());
        auto sent = co_await x.write(std::as_bytes(std::span(piece)).first(n));
        if (!sent) co_return;
        left -= n;
    }
    if (x.head().query == "abort") {
        x.abort();
        co_return;
    }
    static_cast<void>(co_await x.finish());
}

const std::string get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

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
    CHECK(t.server->snapshot().requests_total == 3);
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
    "a refusal without reading the body is sent at once; the connection is kept only if the next request can be found",
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

TEST_CASE("a client that disconnects cancels the waits of its request", "[router][session][cancel]") {
    transport t(wait_for_ever, quick_options());
    for (const bool half : {false, true}) {
        const int before = t.handler.finished;
        raw_client c(t.port);
        REQUIRE(c.send(get));
        REQUIRE(eventually([&] { return t.handler.running == 1; }));
        if (half) {
            c.shutdown_send();
        } else {
            c.close();
        }
        REQUIRE(eventually([&] { return t.handler.finished == before + 1; }));
        CHECK(t.handler.last_reason == cancel_reason::client_gone);
    }
}

TEST_CASE("a client that disconnects within its body ends the read", "[router][session][cancel]") {
    transport t(echo, quick_options());
    raw_client c(t.port);
    REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"));
    REQUIRE(eventually([&] { return t.handler.running == 1; }));
    c.close();
    REQUIRE(eventually([&] { return t.handler.finished == 1; }));
    CHECK(t.handler.last_reason == cancel_reason::client_gone);
    CHECK(eventually([&] { return t.server->snapshot().connections_open == 0; }));
}

TEST_CASE("the request deadline cancels the work, and the handler can still respond", "[router][session][cancel]") {
    transport t(wait_for_ever, quick_options());
    raw_client c(t.port);
    REQUIRE(c.send("GET /deadline HTTP/1.1\r\nHost: h\r\n\r\n"));
    const auto r = c.response();
    CHECK(status_line(r) == "HTTP/1.1 503 Service Unavailable");
    CHECK(r.find("Connection: close\r\n") != std::string::npos);
    REQUIRE(eventually([&] { return t.handler.finished == 1; }));
    CHECK(t.handler.last_reason == cancel_reason::request_deadline);
    CHECK(c.ended());
}

TEST_CASE("a deadline interrupts a body that stalls", "[router][session][cancel]") {
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            x.set_deadline(deadline::in(50ms));
            auto body = co_await x.read_body(100);
            static_cast<void>(co_await x.send(body ? 200 : 503, body ? "" : to_string(body.error().code)));
        },
        quick_options());
    raw_client c(t.port);
    REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"));
    const auto r = c.response();
    CHECK(status_line(r) == "HTTP/1.1 503 Service Unavailable");
    CHECK(c.ended());
}

TEST_CASE("idle connections and slow heads are closed in time", "[router][session][limits]") {
    auto options = quick_options();
    options.idle_timeout = 50ms;
    options.header_timeout = 100ms;
    transport t(echo, options);
    SECTION("never a byte") {
        raw_client c(t.port);
        CHECK(c.ended());
    }
    SECTION("idle after a request") {
        raw_client c(t.port);
        REQUIRE(c.send(get));
        CHECK_FALSE(c.response().empty());
        CHECK(c.ended());
    }
    SECTION("half a head") {
        raw_client c(t.port);
        REQUIRE(c.send("GET / HTTP/1.1\r\nHost"));
        CHECK(c.ended());
        CHECK(t.server->snapshot().header_timeouts_total == 1);
    }
}

TEST_CASE("a body slower than the minimum rate is cut off, after the request was reported as stalled",
          "[router][session][limits]") {
    auto options = quick_options();
    options.rate = {.bytes_per_second_min = 100'000, .window = 200ms, .grace = 100ms};
    options.stall_threshold = 50ms;
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            auto body = co_await x.read_body(1000);
            static_cast<void>(co_await x.send(body ? 200 : 408, body ? "" : to_string(body.error().code)));
        },
        options);
    raw_client c(t.port);
    REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc"));
    const auto r = c.response();
    CHECK(status_line(r) == "HTTP/1.1 408 Request Timeout");
    CHECK(body_of(r) == to_string(errc::timeout));
    REQUIRE(eventually([&] { return t.handler.finished == 1; }));
    CHECK(t.handler.last_reason == cancel_reason::too_slow);
    CHECK(t.handler.stalls == 1);
    CHECK(t.handler.resumes == 0);
    CHECK(t.server->snapshot().too_slow_total == 1);
}

TEST_CASE("a body that dribbles is cut off as soon as one that is silent", "[router][session][limits]") {
    auto options = quick_options();
    options.tick = 20ms;
    options.rate = {.bytes_per_second_min = 100'000, .window = 400ms, .grace = 200ms};
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            auto body = co_await x.read_body(100'000);
            static_cast<void>(co_await x.send(body ? 200 : 408, ""));
        },
        options);
    raw_client c(t.port);
    REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
    // A byte each 2 ms: no wait is long. 2,500 of them take more than five seconds, eight times grace and window.
    int sent = 0;
    while (sent < 2500 && t.handler.finished == 0 && c.send("x")) {
        ++sent;
        std::this_thread::sleep_for(2ms);
    }
    CHECK(sent < 2500);
    REQUIRE(eventually([&] { return t.handler.finished == 1; }));
    CHECK(t.handler.last_reason == cancel_reason::too_slow);
    CHECK(status_line(c.response()) == "HTTP/1.1 408 Request Timeout");
}

TEST_CASE("a slow body that is complete is not cut off", "[router][session][limits]") {
    auto options = quick_options();
    options.rate = {.bytes_per_second_min = 100'000, .window = 80ms, .grace = 20ms};
    static std::atomic<bool> complete;
    complete = false;
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            std::array<std::byte, 3> all{};
            for (std::size_t have = 0; have < all.size();) {
                const auto got = co_await x.body().read_some(std::span(all).subspan(have));
                if (!got || *got == 0) break;
                have += *got;
            }
            // The work after the body takes longer than the client was allowed to be slow.
            asio::steady_timer work(co_await asio::this_coro::executor);
            for (int i = 0; i < 30 && x.cancelled_because() == cancel_reason::none; ++i) {
                work.expires_after(10ms);
                static_cast<void>(co_await work.async_wait(use_tuple));
            }
            static_cast<void>(co_await x.send(200, ""));
        },
        options);
    raw_client c(t.port);
    REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"));
    for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(15ms);
        REQUIRE(c.send("x"));
    }
    CHECK(status_line(c.response()) == "HTTP/1.1 200 OK");
    CHECK(t.handler.last_reason == cancel_reason::none);
}

TEST_CASE("a reader slower than the minimum rate is cut off, one that reads in bursts is not",
          "[router][session][limits]") {
    auto options = quick_options();
    options.rate = {.bytes_per_second_min = 100'000, .window = 1200ms, .grace = 200ms};
    transport t(stream, options);
    SECTION("one that does not read") {
        raw_client c(t.port, 4096);
        REQUIRE(c.send("GET /60000000 HTTP/1.1\r\nHost: h\r\n\r\n"));
        REQUIRE(eventually([&] { return t.handler.finished == 1; }));
        CHECK(t.handler.last_reason == cancel_reason::too_slow);
        CHECK(eventually([&] { return t.server->snapshot().connections_open == 0; }));
    }
    SECTION("one that reads in bursts") {
        raw_client c(t.port);
        REQUIRE(c.send("GET /30000000 HTTP/1.1\r\nHost: h\r\n\r\n"));
        // 64 KiB each 20 ms at most, 3 MB/s, for longer than grace and window.
        for (int i = 0; i < 90; ++i) {
            REQUIRE(c.receive());
            std::this_thread::sleep_for(20ms);
        }
        CHECK(t.handler.running == 1);
        CHECK(t.handler.last_reason == cancel_reason::none);
    }
}

TEST_CASE("a stall ends when the client has caught up, or has sent everything", "[router][session][limits]") {
    auto options = quick_options();
    options.stall_threshold = 30ms;
    transport t(measure, options);
    raw_client c(t.port);
    const bool all_at_once = GENERATE(false, true);
    // Of a small body the end alone can end the stall.
    const std::string body(all_at_once ? 1000 : 15 * MiB, 'b');
    REQUIRE(c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n"));
    REQUIRE(eventually([&] { return t.handler.stalls == 1; }));
    REQUIRE(c.send(body.substr(0, 10)));  // A dribble is no progress.
    std::this_thread::sleep_for(3 * options.tick);
    CHECK(t.handler.resumes == 0);
    if (!all_at_once) {
        // Each piece makes up for a quarter of a second: most of it may be lost again to a busy machine.
        std::size_t sent = 10;
        while (t.handler.resumes == 0 && sent + 1 * MiB < body.size()) {
            REQUIRE(c.send(body.substr(sent, 1 * MiB)));
            sent += 1 * MiB;
            static_cast<void>(eventually([&] { return t.handler.resumes >= 1; }, 20ms));
        }
        CHECK(t.handler.resumes >= 1);
        REQUIRE(c.send(body.substr(sent)));
    } else {
        REQUIRE(c.send(body.substr(10)));
    }
    CHECK(body_of(c.response()) == std::to_string(body.size()));
    CHECK(t.handler.resumes == t.handler.stalls);
    CHECK(t.handler.resumes >= 1);
}

TEST_CASE("a client far below the stall rate stays stalled, however it spreads its bytes",
          "[router][session][limits]") {
    auto options = quick_options();
    options.stall_threshold = 50ms;
    transport t(measure, options);
    raw_client c(t.port);
    constexpr int bursts = 10;
    // 64 KiB each 100 ms: 640 KiB/s. Each burst used to end the stall.
    const std::string burst(64 * KiB, 'b');
    REQUIRE(
        c.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bursts * burst.size()) + "\r\n\r\n"));
    REQUIRE(eventually([&] { return t.handler.stalls == 1; }));
    for (int i = 0; i < bursts; ++i) {
        CHECK(t.handler.resumes == 0);
        REQUIRE(c.send(burst));
        std::this_thread::sleep_for(100ms);
    }
    CHECK(body_of(c.response()) == std::to_string(bursts * burst.size()));
    CHECK(t.handler.stalls == 1);
    CHECK(t.handler.resumes == 1);  // At its end.
}
