/// Requests that end early: clients that disconnect, deadlines, connections that are idle or too slow.
#include "tests/net/server/session_fixture.hpp"
#include "tests/net/server/transport_fixture.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

#include <malloc.h>

#include <memory>
#include <vector>

using namespace keepstore;
using namespace keepstore::test;
using net::cancel_reason;
using net::server_exchange;

namespace {

/// Takes a large body, and says how large.
awaitable<void> measure(server_exchange& x) {
    auto body = co_await x.read_body(16 * MiB);
    const std::string text = body ? std::to_string(body->size()) : body.error().text;
    static_cast<void>(co_await x.send(body ? 200 : 400, text));
}

/// Waits until it is cancelled, then sends 503 if the client is still connected.
awaitable<void> wait_for_ever(server_exchange& x) {
    if (x.head().path == "/deadline") x.set_deadline(deadline::in(50ms));
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(60s);
    static_cast<void>(co_await timer.async_wait(use_tuple));
    if (x.cancelled_because() != cancel_reason::client_gone) static_cast<void>(co_await x.send(503, "late\n"));
}

constexpr std::size_t large_value_bytes = 60'000;

awaitable<void> send_large_head(server_exchange& x) {
    x.set_header("X-Large", std::string(large_value_bytes, 'x'));
    static_cast<void>(co_await x.send(200, ""));
}

/// By malloc, all threads together; a sanitizer's malloc says 0.
std::size_t allocated_bytes() {
    const auto all = ::mallinfo2();
    return all.uordblks + all.hblkhd;
}

}  // namespace

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
    options.rate = {.bytes_per_second_min = 100'000, .window = 800ms, .grace = 200ms};
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
                work.expires_after(50ms);
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

TEST_CASE("an idle connection keeps nothing of a large response head", "[router][session][memory]") {
    transport t(send_large_head);
    constexpr std::size_t count = 100;
    const auto before = allocated_bytes();
    std::vector<std::unique_ptr<raw_client>> clients;
    for (std::size_t i = 0; i < count; ++i) {
        clients.push_back(std::make_unique<raw_client>(t.port));
        REQUIRE(clients.back()->send(get));
        // Not by the client's buffer, which keeps its memory.
        char piece[16 * KiB];
        for (std::size_t got = 0; got < large_value_bytes;) {
            const auto n = ::recv(clients.back()->fd(), piece, sizeof piece, 0);
            REQUIRE(n > 0);
            got += static_cast<std::size_t>(n);
        }
    }
    REQUIRE(eventually([&] { return t.server->snapshot().connections_idle == count; }));
    CHECK(allocated_bytes() < before + count * 12 * KiB);
}
