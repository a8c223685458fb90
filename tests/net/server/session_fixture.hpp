/// Handlers and requests for tests of sessions.
#pragma once

#include "tests/net/server/transport_fixture.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

namespace keepstore::test {

using net::cancel_reason;
using net::server_exchange;

/// Answers "METHOD path body".
inline awaitable<void> echo(server_exchange& x) {
    auto body = co_await x.read_body(1 * MiB);
    if (!body) {
        const unsigned status = body.error() == errc::bad_request ? 400 : body.error() == errc::too_large ? 413 : 499;
        static_cast<void>(co_await x.send(status, body.error().text));
        co_return;
    }
    std::string text = x.head().method + " " + x.head().path + " " + *body;
    static_cast<void>(co_await x.send(200, text));
}

/// Sends "path" bytes of 'x' in pieces; /N with Content-Length, /N?chunked without, /N?short one byte less.
inline awaitable<void> stream(server_exchange& x) {
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

inline const std::string get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

}  // namespace keepstore::test
