#include "tests/net/server/transport_fixture.hpp"

#include <catch2/catch.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

using namespace keepstore;
using namespace keepstore::test;
using net::cancel_reason;
using net::server_exchange;

namespace {

const std::string get_a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

awaitable<void> ok(server_exchange& x) {
    static_cast<void>(co_await x.send(200, "ok"));
}

/// Answers after /N milliseconds, or 503 when cancelled.
awaitable<void> slowly(server_exchange& x) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(std::chrono::milliseconds(std::stoul(x.head().path.substr(1))));
    auto [code] = co_await timer.async_wait(use_tuple);
    static_cast<void>(co_await x.send(code ? 503 : 200, "done"));
}

}  // namespace

TEST_CASE("draining lets running requests finish and announces that connections close", "[router][server]") {
    transport t(slowly, quick_options());
    raw_client idle(t.port);
    REQUIRE(idle.send("GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"));
    CHECK(body_of(idle.response()) == "done");
    raw_client busy(t.port);
    REQUIRE(busy.send("GET /1000 HTTP/1.1\r\nHost: h\r\n\r\n"));
    REQUIRE(eventually([&] { return t.handler.running == 1; }));
    auto drained = t.begin_drain(10s);
    CHECK(idle.ended());
    const auto r = busy.response();
    CHECK(status_line(r) == "HTTP/1.1 200 OK");
    CHECK(r.find("Connection: close\r\n") != std::string::npos);
    CHECK(drained.get());
    CHECK(t.server->snapshot().connections_open == 0);
    CHECK_THROWS(raw_client(t.port));
}

TEST_CASE("the drain's deadline cancels running requests", "[router][server]") {
    transport t(slowly, quick_options());
    raw_client busy(t.port);
    REQUIRE(busy.send("GET /60000 HTTP/1.1\r\nHost: h\r\n\r\n"));
    REQUIRE(eventually([&] { return t.handler.running == 1; }));
    CHECK_FALSE(t.drain(50ms));
    CHECK(status_line(busy.response()) == "HTTP/1.1 503 Service Unavailable");
    CHECK(t.handler.last_reason == cancel_reason::draining);
    CHECK(t.server->snapshot().connections_open == 0);
}

TEST_CASE("no request fails when a server under load drains", "[router][server]") {
    auto options = quick_options();
    options.drain_idle_grace = 5s;  // For clients that the machine keeps from their next request.
    transport t(ok, options);
    std::atomic<int> failures{0};
    std::atomic<int> served{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 8; ++i) {
        clients.emplace_back([&] {
            raw_client c(t.port);
            for (;;) {
                c.send(get_a);
                const auto r = c.response();
                if (body_of(r) != "ok") {
                    ++failures;
                    return;
                }
                ++served;
                if (r.find("Connection: close") != std::string::npos) return;
            }
        });
    }
    REQUIRE(eventually([&] { return served > 1000; }));
    CHECK(t.drain(10s));
    for (auto& c : clients) c.join();
    CHECK(failures == 0);
}

TEST_CASE("at the limit of connections the longest idle one makes room", "[router][server]") {
    auto options = quick_options();
    options.connections_max = 4;
    transport t(slowly, options);
    raw_client busy(t.port);
    REQUIRE(busy.send("GET /1000 HTTP/1.1\r\nHost: h\r\n\r\n"));
    REQUIRE(eventually([&] { return t.handler.running == 1; }));
    std::vector<std::unique_ptr<raw_client>> idle;
    for (int i = 0; i < 3; ++i) idle.push_back(std::make_unique<raw_client>(t.port));
    REQUIRE(eventually([&] { return t.server->snapshot().connections_open == 4; }));
    raw_client more(t.port);
    REQUIRE(more.send("GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"));
    CHECK(body_of(more.response()) == "done");
    CHECK(t.server->snapshot().accept_pauses_total >= 1);
    CHECK(body_of(busy.response()) == "done");
}

TEST_CASE("connections are counted, and end with their clients", "[router][server]") {
    transport t(ok, quick_options());
    {
        std::vector<std::unique_ptr<raw_client>> clients;
        for (int i = 0; i < 50; ++i) {
            clients.push_back(std::make_unique<raw_client>(t.port));
            REQUIRE(clients.back()->send(get_a));
            CHECK(body_of(clients.back()->response()) == "ok");
        }
        CHECK(t.server->snapshot().connections_open == 50);
        CHECK(eventually([&] { return t.server->snapshot().connections_idle == 50; }));
    }
    CHECK(eventually([&] { return t.server->snapshot().connections_open == 0; }));
    CHECK(t.server->snapshot().connections_idle == 0);
}

TEST_CASE("addresses that cannot be listened on are reported", "[router][server]") {
    transport t(ok);
    CHECK(t.server->listen("not an address", 0).error() == errc::bad_request);
    CHECK(t.server->listen("127.0.0.1", t.port).error() == errc::unavailable);
}
