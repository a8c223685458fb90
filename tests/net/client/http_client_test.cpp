#include "net/limits.hpp"
#include "tests/net/client/script_server.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;
using net::failure;

namespace {

const std::string ok_head = "HTTP/1.1 200 OK\r\n";

/// Every connection: reads a head, sends `text`, closes.
script_server::script_type says(std::string text) {
    return [text](peer& p, int) {
        p.head();
        p.send(text);
    };
}

awaitable<std::string> in_pieces(const net::client& c, net::request r, std::size_t piece, bool full) {
    auto response = co_await c.send(std::move(r), deadline::in(45s));
    if (!response) co_return "failed: " + response.error().text;
    std::string out;
    std::vector<std::byte> into(piece);
    for (;;) {
        const auto n = full ? co_await response->read_full(into) : co_await response->read_some(into);
        if (!n) co_return "failed: " + n.error().text;
        if (*n == 0) break;
        out.append(reinterpret_cast<const char*>(into.data()), *n);
    }
    co_return out;
}

awaitable<unsigned> drop_unread(const net::client& c, net::request r) {
    auto response = co_await c.send(std::move(r), deadline::in(45s));
    co_return response ? response->status() : 0;
}

awaitable<unsigned> drop_then_call(const net::client& c, net::request r) {
    const auto first = co_await drop_unread(c, r);
    auto second = co_await call(c, std::move(r), deadline::in(45s));
    co_return first == 200 ? second.status : 0;
}

}  // namespace

TEST_CASE("requests go out as written, on one connection", "[net][client]") {
    std::vector<std::string> heads;
    script_server s([&](peer& p, int) {
        for (;;) {
            auto head = p.head();
            if (head.empty()) return;
            heads.push_back(std::move(head));
            p.answer("hello", "X-Meta: a\r\n");
        }
    });
    const auto c = make_client({.user_agent = "test/1"});
    const auto all = run(call_in_turn(
        c, {.to = s.to(), .target = "/b/k?versionId=1", .headers = {{"X-Amz-Date", "now"}, {"Range", "bytes=0-4"}}},
        3));
    for (const auto& a : all) {
        CHECK(a.status == 200);
        CHECK(a.body == "hello");
    }
    s.stop();
    CHECK(s.accepted() == 1);
    REQUIRE(heads.size() == 3);
    CHECK(heads[0] == "GET /b/k?versionId=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(s.port()) +
                          "\r\nX-Amz-Date: now\r\nRange: bytes=0-4\r\nUser-Agent: test/1\r\n\r\n");
    const auto& counters = c.counters();
    CHECK(counters.requests.value() == 3);
    CHECK(counters.responses.value() == 3);
    CHECK(counters.connections_opened.value() == 1);
    CHECK(counters.connections_reused.value() == 2);
    CHECK(counters.connections_in_use.value() == 0);
    CHECK(counters.connections_idle.value() == 1);
    CHECK(counters.bytes_sent.value() == 3 * heads[0].size());
}

TEST_CASE("a thousand small blocks come over one connection", "[net][client]") {
    const std::string block(64 * KiB, 'b');
    script_server s([&](peer& p, int) {
        while (!p.head().empty()) p.answer(block);
    });
    const auto c = make_client();
    const auto all = run(call_in_turn(c, {.to = s.to()}, 1000));
    CHECK(std::ranges::all_of(all, [&](const answer& a) { return a.status == 200 && a.body == block; }));
    CHECK(s.accepted() == 1);
    CHECK(c.counters().bytes_received.value() >= 1000 * block.size());
}

TEST_CASE("bodies end by their framing", "[net][client][body]") {
    struct row {
        const char* method;
        std::string text;
        unsigned status;
        std::string body;
        std::uint64_t kept;  ///< Connections kept for reuse.
    };
    const row rows[] = {
        {"GET", ok_head + "Content-Length: 3\r\n\r\nabc", 200, "abc", 1},
        {"GET", ok_head + "Content-Length: 0\r\n\r\n", 200, "", 1},
        {"GET", ok_head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n", 200,
         "abcde", 1},
        {"GET", ok_head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", 1},
        {"GET", ok_head + "\r\nuntil the end", 200, "until the end", 0},
        {"GET", "HTTP/1.0 200 OK\r\n\r\nold", 200, "old", 0},
        {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", 200, "old", 0},
        {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nold", 200, "old", 1},
        {"GET", ok_head + "Content-Length: 3\r\nConnection: close\r\n\r\nabc", 200, "abc", 0},
        {"GET", ok_head + "Content-Length: 3\r\n\r\nabcEXTRA", 200, "abc", 0},
        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", 1},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "", 1},
        {"HEAD", ok_head + "Content-Length: 67108864\r\n\r\n", 200, "", 1},
        {"HEAD", ok_head + "Transfer-Encoding: chunked\r\n\r\n", 200, "", 1},
        {"GET",
         "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not "
         "Found\r\nContent-Length: 1\r\n\r\nx",
         404, "x", 1},
        {"GET", ok_head + "Content-Length: 3\r\nKeep-Alive: timeout=1\r\n\r\nabc", 200, "abc", 0},
        {"GET", ok_head + "Content-Length: 3\r\nKeep-Alive: timeout=60\r\n\r\nabc", 200, "abc", 1},
    };
    for (const auto& r : rows) {
        INFO(r.text);
        script_server s([&](peer& p, int) {
            p.head();
            p.send(r.text);
            // A body without a length ends with the connection; the others must end by themselves.
            if (r.kept > 0) p.wait_closed();
        });
        const auto c = make_client();
        const auto a = call_once(c, {.method = r.method, .to = s.to()});
        CHECK(a.error_text() == "");
        CHECK(a.status == r.status);
        CHECK(a.body == r.body);
        CHECK(c.counters().connections_idle.value() == r.kept);
        CHECK(c.counters().connections_in_use.value() == 0);
    }
}

TEST_CASE("broken responses are errors that name the cause", "[net][client][body]") {
    struct row {
        std::string text;
        errc code;
        failure why;
        bool got_head;
    };
    const row rows[] = {
        {"", errc::unavailable, failure::no_response, false},
        {"HTTP/1.1 200", errc::unavailable, failure::no_response, false},
        {ok_head + "Content-Length: 5\r\n\r\nabc", errc::unavailable, failure::cut_short, true},
        {ok_head + "Content-Length: 5\r\n\r\n", errc::unavailable, failure::cut_short, true},
        {ok_head + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", errc::unavailable, failure::cut_short, true},
        {ok_head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", errc::unavailable, failure::cut_short, true},
        {ok_head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", errc::unavailable, failure::cut_short, true},
        {ok_head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", errc::io_error, failure::malformed,
         true},
        {ok_head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", errc::io_error, failure::malformed, true},
        {ok_head + "Transfer-Encoding: chunked\r\n\r\n" + std::string(400, '0'), errc::io_error, failure::malformed,
         true},
        {ok_head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", errc::io_error, failure::malformed, false},
        {"SSH-2.0-OpenSSH\r\n", errc::io_error, failure::malformed, false},
        {"\x15\x03\x01", errc::io_error, failure::malformed, false},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", errc::io_error, failure::malformed, false},
        {ok_head + "A: " + std::string(limits::net_head_bytes_max, 'a'), errc::io_error, failure::head_too_large,
         false},
    };
    for (const auto& r : rows) {
        INFO(r.text.substr(0, 100));
        script_server s(says(r.text));
        const auto c = make_client();
        const auto a = call_once(c, {.to = s.to(), .target = "/?X-Amz-Signature=secret"});
        INFO(a.error_text());
        CHECK(a.failed_with(r.code, r.why));
        CHECK((a.status != 0) == r.got_head);
        CHECK(a.error_text().starts_with("http://127.0.0.1:"));
        CHECK(a.error_text().find("secret") == std::string::npos);
        CHECK(c.counters().failures[static_cast<std::size_t>(r.why)].value() == 1);
        CHECK(c.counters().connections_in_use.value() == 0);
        CHECK(c.counters().connections_idle.value() == 0);
        CHECK(c.counters().stale_retries.value() == 0);
    }
    std::string endless;
    for (int i = 0; i < 100; ++i) endless += "HTTP/1.1 100 Continue\r\n\r\n";
    script_server s(says(endless));
    CHECK(call_once(make_client(), {.to = s.to()}).failed_with(errc::io_error, failure::malformed));
}

TEST_CASE("bodies are complete, whatever the pieces on both sides", "[net][client][body]") {
    const char* given = std::getenv("KEEPSTORE_TEST_SEED");
    const auto seed = given ? static_cast<unsigned>(std::stoul(given)) : std::random_device()();
    INFO("KEEPSTORE_TEST_SEED=" << seed);
    std::mt19937 random(seed);
    std::string body(3'000'000, '\0');
    for (char& b : body) b = static_cast<char>(random());
    std::string plain = ok_head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    std::string chunked = ok_head + "Transfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < body.size();) {
        const std::size_t n =
            std::min<std::size_t>(body.size() - at, 1 + random() % (random() % 4 == 0 ? 300'000 : 300));
        chunked += fmt::format("{:x}\r\n", n) + body.substr(at, n) + "\r\n";
        at += n;
    }
    chunked += "0\r\n\r\n";
    for (const auto& text : {plain, chunked}) {
        std::atomic<unsigned> step_seed{seed};
        script_server s([&](peer& p, int) {
            std::mt19937 steps(++step_seed);
            while (!p.head().empty()) {
                for (std::size_t at = 0; at < text.size();) {
                    const std::size_t n = std::min<std::size_t>(text.size() - at, 1 + steps() % 100'000);
                    if (!p.send(std::string_view(text).substr(at, n))) return;
                    at += n;
                }
            }
        });
        const auto c = make_client();
        for (const std::size_t piece : {1'000UL, 65'536UL, 262'144UL, 4'000'000UL}) {
            CHECK(run(in_pieces(c, {.to = s.to()}, piece, false)) == body);
            CHECK(run(in_pieces(c, {.to = s.to()}, piece, true)) == body);
        }
        CHECK(std::ranges::all_of(c.counters().failures, [](const counter& f) { return f.value() == 0; }));
    }
}

TEST_CASE("read_all keeps to its limit", "[net][client][body]") {
    for (const auto* framing :
         {"Content-Length: 5\r\n\r\nabcde", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", "\r\nabcde"}) {
        INFO(framing);
        script_server s(says(ok_head + framing));
        const auto c = make_client();
        CHECK(run(call(c, {.to = s.to()}, deadline::in(45s), 4)).failed_with(errc::too_large, failure::body_too_large));
        CHECK(run(call(c, {.to = s.to()}, deadline::in(45s), 5)).body == "abcde");
    }
}

TEST_CASE("a response destroyed unread keeps its connection only if its rest is small", "[net][client][pool]") {
    std::string body;
    std::uint64_t kept = 0;
    SECTION("a short body that has arrived") {
        body = std::string(1000, 'x');
        kept = 1;
    }
    SECTION("a long body") {
        body = std::string(8 * MiB, 'x');
    }
    script_server s([&](peer& p, int) {
        while (!p.head().empty()) p.answer(body);
    });
    const auto c = make_client();
    CHECK(run(drop_then_call(c, {.to = s.to()})) == 200);
    CHECK(c.counters().connections_reused.value() == kept);
    CHECK(s.accepted() == static_cast<int>(2 - kept));
}

TEST_CASE("requests that a server could read as something else are refused", "[net][client]") {
    const auto c = make_client();
    const net::endpoint to{false, "127.0.0.1", 1};
    const net::request rows[] = {
        {.method = "GET /", .to = to},
        {.method = "", .to = to},
        {.to = to, .target = ""},
        {.to = to, .target = "x"},
        {.to = to, .target = "/a b"},
        {.to = to, .target = "/a\r\nX: y"},
        {.to = to, .headers = {{"A B", "x"}}},
        {.to = to, .headers = {{"A", "x\r\nB: y"}}},
        {.to = to, .headers = {{"", "x"}}},
        {.to = to, .headers = {{"content-length", "5"}}},
        {.to = to, .headers = {{"Transfer-Encoding", "chunked"}}},
        {.to = {false, "", 80}},
        {.to = {false, "a b", 80}},
    };
    for (const auto& r : rows) CHECK(call_once(c, r).failed_with(errc::bad_request, failure::invalid_request));
    CHECK(c.counters().connections_opened.value() == 0);
}

TEST_CASE("redirects are followed only on request, and without credentials to other servers",
          "[net][client][redirect]") {
    std::mutex mutex;
    std::string seen;
    script_server target([&](peer& p, int) {
        for (auto head = p.head(); !head.empty(); head = p.head()) {
            const std::lock_guard lock(mutex);
            seen = head;
            p.answer("there");
        }
    });
    std::string location = "http://127.0.0.1:" + std::to_string(target.port()) + "/x";
    script_server first([&](peer& p, int) {
        for (auto head = p.head(); !head.empty(); head = p.head()) {
            if (head.starts_with("GET /same ")) {
                p.answer("same");
            } else {
                const std::lock_guard lock(mutex);
                p.send("HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 4\r\nLocation: " + location +
                       "\r\n\r\nmove");
            }
        }
    });
    const auto c = make_client();
    const auto get = [&](unsigned most, std::string method = "GET") {
        return call_once(
            c,
            {.method = method,
             .to = first.to(),
             .headers = {{"Authorization", "Bearer secret"}, {"X-Amz-Security-Token", "secret"}, {"Range", "bytes=0-"}},
             .redirects_max = most});
    };
    CHECK(get(0).status == 307);
    CHECK(get(0).body == "move");
    CHECK(seen.empty());
    SECTION("to another server") {
        CHECK(get(1).body == "there");
        CHECK(seen.find("secret") == std::string::npos);
        CHECK(seen.find("Range: bytes=0-") != std::string::npos);
        CHECK(seen.find("Host: 127.0.0.1:" + std::to_string(target.port())) != std::string::npos);
        CHECK(c.counters().redirects.value() == 1);
    }
    SECTION("on the same server") {
        location = "/same";
        CHECK(get(1).body == "same");
        CHECK(first.accepted() >= 1);
    }
    SECTION("only for methods without a body") {
        CHECK(get(1, "POST").status == 307);
    }
    SECTION("not for ever") {
        location = "/again";
        CHECK(get(3).failed_with(errc::io_error, failure::bad_redirect));
        CHECK(c.counters().redirects.value() == 3);
    }
    SECTION("not to other than http URLs") {
        location = "file:///etc/passwd";
        CHECK(get(3).failed_with(errc::io_error, failure::bad_redirect));
    }
}

TEST_CASE("names can be given addresses, and unknown names are errors", "[net][client][connect]") {
    script_server s([](peer& p, int) {
        while (!p.head().empty()) p.answer("named");
    });
    const auto c = make_client({.hosts = {{"bucket.s3.test", "127.0.0.1"}}});
    CHECK(call_once(c, {.to = s.to("bucket.s3.test")}).body == "named");
    CHECK(call_once(c, {.to = s.to("localhost")}).body == "named");
    const auto a = call_once(c, {.to = s.to("no-such-host.invalid")});
    INFO(a.error_text());
    CHECK(a.failed_with(errc::unavailable, failure::resolve));
}

TEST_CASE("a refused connection is named in the error", "[net][client][connect]") {
    net::endpoint gone;
    {
        script_server s(says(""));
        gone = s.to();
    }
    const auto a = call_once(make_client(), {.to = gone});
    CHECK(a.failed_with(errc::unavailable, failure::connect));
    CHECK(a.error_text().find("refused") != std::string::npos);
}
