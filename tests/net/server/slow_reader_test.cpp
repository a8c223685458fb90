// Responses to readers that are slower than the daemon: write_some() gives up after a while so that the handler can
// release its memory, and the bytes that were taken arrive nevertheless.
#include "base/limits.hpp"
#include "net/limits.hpp"
#include "net/tls/tls_server_stream.hpp"
#include "tests/net/server/odd_client.hpp"
#include "tests/net/server/tls_fixture.hpp"
#include "tests/net/server/transport_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <thread>

using namespace keepstore;
using namespace keepstore::test;
using when_full = byte_sink::when_full;
using net::cancel_reason;
using net::io_status;
using net::server_exchange;

namespace {

/// More than the kernel takes for a reader with a small window.
constexpr std::size_t large = 12'000'000;

std::atomic<int> partial_writes{0};
std::atomic<int> whole_writes{0};
std::atomic<bool> holds_memory{false};

char pattern(std::size_t i) {
    return static_cast<char>((i * 2654435761u) >> 13);
}

std::string pattern_of(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = pattern(i);
    return text;
}

/// GET /size?none or ?short: sends the pattern as the store sends a block, in pieces whose memory is released while it
/// waits. ?20: waits briefly, with a deadline of 20 ms.
awaitable<void> give_back(server_exchange& x) {
    const std::size_t size = std::stoul(x.head().path.substr(1));
    const std::string query = x.head().query;
    const auto mode = query == "none" ? when_full::give_up : when_full::wait_briefly;
    if (mode == when_full::wait_briefly && query != "short") {
        x.set_deadline(deadline::in(std::chrono::milliseconds(std::stoi(query))));
    }
    auto started = co_await x.start(200, size);
    if (!started) co_return;
    for (std::size_t offset = 0; offset < size;) {
        auto ready = co_await x.wait_writable();
        if (!ready) co_return;
        holds_memory = true;
        // More than a socket of the kernel's that calls itself writable takes.
        std::string piece(std::min<std::size_t>(5 * MiB, size - offset), '\0');
        for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = pattern(offset + i);
        auto taken = co_await x.write_some(std::as_bytes(std::span(piece)), mode);
        std::ranges::fill(piece, '!');
        holds_memory = false;
        if (!taken) co_return;
        ++(*taken < piece.size() ? partial_writes : whole_writes);
        offset += *taken;
    }
    static_cast<void>(co_await x.finish());
}

/// Certificates, made when they are needed.
struct security {
    explicit security(bool on) {
        if (!on) return;
        make_certificate(dir.path(), "slow");
        context = net::tls_server_context::load(dir.path() / "cert.pem", dir.path() / "key.pem").value();
    }
    const temp_dir dir;
    std::shared_ptr<net::tls_server_context> context;
};

std::string request(const std::string& query, std::size_t size = large) {
    return "GET /" + std::to_string(size) + "?" + query + " HTTP/1.1\r\nHost: h\r\n\r\n";
}

void reset_counts() {
    partial_writes = whole_writes = 0;
    holds_memory = false;
}

bool let_go() {
    return eventually([] { return partial_writes > 0 && !holds_memory; });
}

}  // namespace

TEST_CASE("the memory for a reader that stops is released, and the reader gets everything when it goes on",
          "[router][slow]") {
    const bool tls = GENERATE(false, true);
    const std::string how_long = GENERATE("short", "none");
    INFO((tls ? "TLS, " : "plain, ") << how_long);
    reset_counts();
    const security s(tls);
    transport t(give_back, quick_options(), s.context);
    odd_client c(t.port, tls);
    // Three requests at once: the second one's head finds the socket full of the first one's body.
    c.send(request(how_long) + request(how_long) + request(how_long, 1000));
    REQUIRE(let_go());
    CHECK(t.handler.finished == 0);
    const std::string expected = pattern_of(large);
    CHECK((c.body(large) == expected));
    CHECK((c.body(large) == expected));
    CHECK(c.body(1000) == expected.substr(0, 1000));
    CHECK(eventually([&] { return t.handler.finished == 3; }));
    CHECK(t.handler.last_reason == cancel_reason::none);
    CHECK(whole_writes > 0);
    c.send(request(how_long, 5));
    CHECK(c.body(5) == expected.substr(0, 5));
}

TEST_CASE("write_some returns at once, or after a brief wait", "[router][slow]") {
    static std::atomic<std::int64_t> waited_ns{-1};
    static std::atomic<bool> first_arrived{false};
    waited_ns = -1;
    first_arrived = false;
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            const auto mode = x.head().query == "none" ? when_full::give_up : when_full::wait_briefly;
            static_cast<void>(co_await x.start(200, 2 * large));
            const std::string piece = pattern_of(large);
            // A reader that has kept up: of others the kernel takes less than a turn's worth.
            auto first = co_await x.write(std::as_bytes(std::span(piece)));
            if (!first) co_return;
            asio::steady_timer timer(co_await asio::this_coro::executor);
            while (!first_arrived) {
                timer.expires_after(1ms);
                static_cast<void>(co_await timer.async_wait(use_tuple));
            }
            const auto before = std::chrono::steady_clock::now();
            auto taken = co_await x.write_some(std::as_bytes(std::span(piece)), mode);
            waited_ns = (std::chrono::steady_clock::now() - before).count();
            if (!taken || *taken == 0 || *taken == large) throw std::runtime_error("not taken in part");
            // Much more than one turn's worth: giving way to others is no slowness of the reader.
            if (*taken <= limits::bytes_per_turn_max) throw std::runtime_error("gave up at the end of a turn");
            auto rest = co_await x.write(std::as_bytes(std::span(piece)).subspan(*taken));
            if (rest) static_cast<void>(co_await x.finish());
        },
        quick_options());
    const bool waits = GENERATE(false, true);
    raw_client c(t.port, 65536);
    REQUIRE(c.send(waits ? "GET /?short HTTP/1.1\r\nHost: h\r\n\r\n" : "GET /?none HTTP/1.1\r\nHost: h\r\n\r\n"));
    while (c.body_bytes() < large) REQUIRE(c.receive());
    first_arrived = true;
    REQUIRE(eventually([] { return waited_ns >= 0; }));
    if (waits) CHECK(std::chrono::nanoseconds(waited_ns) >= limits::slow_reader_wait);
    CHECK((body_of(c.response()) == pattern_of(large) + pattern_of(large)));
    CHECK(t.handler.last_reason == cancel_reason::none);
}

TEST_CASE("a deadline ends a response that its reader does not take", "[router][slow][cancel]") {
    const bool tls = GENERATE(false, true);
    const std::string milliseconds = GENERATE("20", "200");  // While it is patient, and after that.
    INFO((tls ? "TLS, " : "plain, ") << milliseconds);
    reset_counts();
    const security s(tls);
    transport t(give_back, quick_options(), s.context);
    odd_client c(t.port, tls);
    c.send(request(milliseconds));
    REQUIRE(eventually([&] { return t.handler.finished == 1; }));
    CHECK(t.handler.last_reason == cancel_reason::request_deadline);
    CHECK(c.cut_off(large));
    CHECK(eventually([&] { return t.server->snapshot().connections_open == 0; }));
}

TEST_CASE("readers served piece by piece are reported as stalled, and cut off when too slow",
          "[router][slow][limits]") {
    const bool tls = GENERATE(false, true);
    INFO((tls ? "TLS" : "plain"));
    reset_counts();
    const security s(tls);
    auto options = quick_options();
    options.rate = {.bytes_per_second_min = 100'000, .window = 400ms, .grace = 200ms};
    options.stall_threshold = 50ms;
    transport t(give_back, options, s.context);
    odd_client c(t.port, tls);
    c.send(request("short"));
    REQUIRE(eventually([&] { return t.handler.finished == 1; }));
    CHECK(t.handler.last_reason == cancel_reason::too_slow);
    CHECK(partial_writes > 0);
    // The kernel may take some more for a while; in the end the reader is stalled.
    CHECK(t.handler.stalls == t.handler.resumes + 1);
    CHECK(t.server->snapshot().too_slow_total == 1);
    CHECK(eventually([&] { return t.server->snapshot().connections_open == 0; }));
}

TEST_CASE("the end of a stall is reported for a reader served piece by piece", "[router][slow][limits]") {
    const bool tls = GENERATE(false, true);
    INFO((tls ? "TLS" : "plain"));
    reset_counts();
    const security s(tls);
    auto options = quick_options();
    options.stall_threshold = 100ms;
    transport t(give_back, options, s.context);
    odd_client c(t.port, tls);
    // A reader that the machine holds up has more to make up for, so there is much to read.
    constexpr std::size_t size = 4 * large;
    c.send(request("short", size));
    REQUIRE(eventually([&] { return t.handler.stalls > t.handler.resumes; }));
    CHECK(c.read_until([&] { return t.handler.resumes > 0; }));
    CHECK((c.body(size) == pattern_of(size)));
    CHECK(eventually([&] { return t.handler.finished == 1; }));
    // It may end stalled: held up once more, with nothing left to make up for it with.
    CHECK(t.handler.stalls - t.handler.resumes <= 1);
}

TEST_CASE("a reader that disconnects ends a response sent piece by piece", "[router][slow][cancel]") {
    const bool tls = GENERATE(false, true);
    INFO((tls ? "TLS" : "plain"));
    reset_counts();
    const security s(tls);
    transport t(give_back, quick_options(), s.context);
    odd_client c(t.port, tls);
    c.send(request("short"));
    REQUIRE(let_go());
    c.close();
    REQUIRE(eventually([&] { return t.handler.finished == 1; }));
    CHECK(t.handler.last_reason == cancel_reason::client_gone);
}

TEST_CASE("the next request waits until its client has taken the last response", "[router][slow]") {
    const bool tls = GENERATE(false, true);
    INFO((tls ? "TLS" : "plain"));
    const security s(tls);
    int held_back = 0;
    // How full the socket is when the first response ends is the kernel's choice; mostly it has no room for a second.
    for (int attempt = 0; attempt < 30 && held_back == 0; ++attempt) {
        transport t(
            [](server_exchange& x) -> awaitable<void> {
                const std::string text = pattern_of(std::stoul(x.head().path.substr(1)));
                static_cast<void>(co_await x.send(200, text));
            },
            quick_options(), s.context);
        odd_client c(t.port, tls);
        const std::size_t size = large + static_cast<std::size_t>(attempt % 5) * 777'777;
        c.send(request("first", size) + request("second", 5));
        REQUIRE(c.read_until([&] { return t.handler.finished >= 1; }));
        if (!eventually([&] { return t.handler.finished == 2; }, 100ms)) ++held_back;
        CHECK((c.body(size) == pattern_of(size)));
        CHECK(c.body(5) == pattern_of(5));
        CHECK(eventually([&] { return t.handler.finished == 2; }));
        CHECK(t.handler.last_reason == cancel_reason::none);
    }
    CHECK(held_back > 0);
}

TEST_CASE("the next request of a client that never takes the last response is not handled", "[router][slow][limits]") {
    auto options = quick_options();
    options.rate = {.bytes_per_second_min = 100'000, .window = 200ms, .grace = 100ms};
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            const std::string text = pattern_of(std::stoul(x.head().path.substr(1)));
            static_cast<void>(co_await x.send(200, text));
        },
        options);
    odd_client c(t.port, false);
    c.send(request("first") + request("second"));
    REQUIRE(c.read_until([&] { return t.handler.finished >= 1; }));
    // Whether it waits for the second request's turn or within it: the connection ends.
    CHECK(eventually([&] { return t.server->snapshot().connections_open == 0; }));
    CHECK(t.server->snapshot().too_slow_total == 1);
}

TEST_CASE("responses that cannot be sent in part are sent whole", "[router][slow]") {
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            const bool chunked = x.head().query == "chunked";
            const std::string piece = pattern_of(large);
            static_cast<void>(co_await x.start(200, chunked ? std::nullopt : std::optional<std::uint64_t>(large)));
            auto taken = co_await x.write_some(std::as_bytes(std::span(piece)), when_full::give_up);
            if (!taken || *taken != large) throw std::runtime_error("taken in part");
            static_cast<void>(co_await x.finish());
        },
        quick_options());
    SECTION("chunks") {
        raw_client c(t.port, 65536);
        REQUIRE(c.send("GET /?chunked HTTP/1.1\r\nHost: h\r\n\r\n"));
        CHECK((body_of(c.response()) == "b71b00\r\n" + pattern_of(large) + "\r\n0\r\n\r\n"));
        CHECK(eventually([&] { return t.handler.finished == 1; }));
    }
    SECTION("nothing, for HEAD") {
        raw_client c(t.port);
        REQUIRE(c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"));
        CHECK(c.response(true).find("Content-Length: 12000000\r\n") != std::string::npos);
        CHECK(eventually([&] { return t.handler.finished == 1; }));
    }
}

TEST_CASE("a piece longer than the rest of the announced length is refused", "[router][slow]") {
    transport t(
        [](server_exchange& x) -> awaitable<void> {
            static_cast<void>(co_await x.start(200, 3));
            const std::string piece = "four";
            const auto bytes = std::as_bytes(std::span(piece));
            auto some = co_await x.write_some(bytes.first(1), when_full::wait_briefly);
            auto over = co_await x.write_some(bytes.subspan(1), when_full::wait_briefly);
            if (!some || *some != 1 || over || over.error() != errc::io_error) throw std::runtime_error("not refused");
            auto more = co_await x.write_some(bytes.subspan(1, 1), when_full::wait_briefly);
            if (more) throw std::runtime_error("went on");
        },
        quick_options());
    raw_client c(t.port);
    REQUIRE(c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    CHECK(body_of(c.all()) == "f");
    CHECK_FALSE(c.timed_out());
    CHECK(t.handler.finished == 1);
}

TEST_CASE("a TLS stream does not refer to the caller's bytes after it took them", "[router][slow][tls]") {
    const unsigned char fragment =
        GENERATE(as<unsigned char>(), TLSEXT_max_fragment_length_DISABLED, TLSEXT_max_fragment_length_512);
    const security s(true);
    asio::io_context context;
    asio::ip::tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), 0});
    std::optional<tls_client> client;
    std::thread connecting(
        [&] { client.emplace(acceptor.local_endpoint().port(), TLS1_3_VERSION, "", 16384, fragment); });
    auto socket = acceptor.accept();
    socket.set_option(asio::socket_base::send_buffer_size(8192));
    const int fd = socket.native_handle();
    const auto wait_for = [&](short events) {
        pollfd ask{fd, events, 0};
        return ::poll(&ask, 1, 10'000) == 1;
    };
    const auto c = net::make_tls_server_stream(std::move(socket), *s.context->current());
    io_status status = io_status::want_read;
    while (status == io_status::want_read || status == io_status::want_write) {
        status = c->handshake();
        if (status == io_status::want_read && !wait_for(POLLIN)) break;
    }
    connecting.join();
    REQUIRE(status == io_status::ok);
    REQUIRE(client->connected);

    std::string sent;
    const auto attempt = [&](std::size_t size) {
        std::string piece(size, '\0');
        for (std::size_t i = 0; i < size; ++i) piece[i] = pattern(sent.size() + i);
        // A head and a body, as a response has.
        std::array<iovec, 2> buffers{iovec{piece.data(), size / 10}, iovec{piece.data() + size / 10, size - size / 10}};
        const auto outcome = c->try_write(buffers);
        if (outcome.status == io_status::ok) sent.append(piece, 0, outcome.bytes);
        std::ranges::fill(piece, '!');
        return outcome;
    };
    std::string received;
    for (const std::size_t size : {100u, 40'000u, 16'384u, 300'000u, 5u}) {
        while (!c->has_pending_output()) {
            const auto outcome = attempt(size);
            REQUIRE(outcome.status == io_status::ok);
            REQUIRE(outcome.bytes > 0);
            REQUIRE(outcome.bytes <= 16384);
        }
        // Nothing more is taken until that is gone.
        const auto refused = attempt(size);
        CHECK(refused.status == io_status::want_write);
        CHECK(refused.bytes == 0);
        CHECK(c->has_pending_output());
        std::thread reading([&] {
            while (received.size() < sent.size()) {
                const auto piece = client->receive_some(1 + received.size() % 999);
                if (piece.empty()) break;
                received += piece;
            }
        });
        bool writable = true;
        while (c->has_pending_output() && writable) {
            const auto outcome = c->try_write({});
            if (outcome.status == io_status::want_write) {
                writable = wait_for(POLLOUT);
            } else {
                writable = outcome.status == io_status::ok && outcome.bytes == 0;
            }
        }
        if (!writable) c->close(true);  // So that the reader ends.
        reading.join();
        REQUIRE(writable);
        REQUIRE((received == sent));
    }
}
