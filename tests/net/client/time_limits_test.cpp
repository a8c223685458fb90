#include "tests/net/client/full_listener.hpp"
#include "tests/net/client/script_server.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <variant>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;
using net::failure;

namespace {

/// A body that never comes to its end.
class stuck_source final : public net::body_source {
  public:
    std::uint64_t size() const noexcept override { return 100; }
    awaitable<result<const_slice>> next() override {
        if (!first_) {
            first_ = true;
            co_return slice_of("begin");
        }
        waiting = true;
        auto never = co_await never_.wait();
        if (!never) co_return std::unexpected(std::move(never.error()));
        co_return const_slice{};
    }
    bool rewind() override { return false; }
    bool waiting = false;

  private:
    one_shot<std::monostate> never_;
    bool first_ = false;
};

const std::string head_5 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

/// 32 MiB: more than loopback's buffers hold.
std::vector<const_slice> long_body() {
    return std::vector<const_slice>(32, slice_of(std::string(MiB, 'x')));
}

}  // namespace

TEST_CASE("each phase has its limit", "[net][timeout]") {
    const auto c = make_client();
    // Long enough for the server to do its part of each on a busy machine.
    const net::phase_limits quick{.connect = 500ms, .first_byte = 500ms, .progress = 500ms};
    const auto began = std::chrono::steady_clock::now();
    SECTION("no reply to the connection attempt") {
        const full_listener full;
        const auto a = call_once(c, {.to = full.to(), .timing = quick});
        CHECK(a.failed_with(errc::timeout, failure::connect_timeout));
    }
    SECTION("TLS handshake") {
        script_server s([](peer& p, int) { p.wait_closed(); });
        auto to = s.to();
        to.tls = true;
        CHECK(call_once(c, {.to = to, .timing = quick}).failed_with(errc::timeout, failure::connect_timeout));
    }
    SECTION("no response") {
        script_server s([](peer& p, int) { p.wait_closed(); });
        CHECK(call_once(c, {.to = s.to(), .timing = quick}).failed_with(errc::timeout, failure::first_byte_timeout));
    }
    SECTION("interim responses are no response") {
        script_server s([](peer& p, int) {
            p.send("HTTP/1.1 100 Continue\r\n\r\n");
            p.wait_closed();
        });
        CHECK(call_once(c, {.to = s.to(), .timing = quick}).failed_with(errc::timeout, failure::first_byte_timeout));
    }
    SECTION("within the head") {
        script_server s([](peer& p, int) {
            p.send("HTTP/1.1 200 OK\r\n");
            p.wait_closed();
        });
        CHECK(call_once(c, {.to = s.to(), .timing = quick}).failed_with(errc::timeout, failure::read_timeout));
    }
    SECTION("within the body") {
        script_server s([](peer& p, int) {
            p.send(head_5 + "ab");
            p.wait_closed();
        });
        const auto a = call_once(c, {.to = s.to(), .timing = quick});
        CHECK(a.failed_with(errc::timeout, failure::read_timeout));
        CHECK(a.status == 200);
    }
    SECTION("nothing of the request is accepted") {
        script_server s([](peer& p, int) {
            pollfd hangup{p.fd(), POLLRDHUP, 0};
            ::poll(&hangup, 1, 10'000);
        });
        const auto a = call_once(c, {.method = "PUT", .to = s.to(), .body = long_body(), .timing = quick});
        CHECK(a.failed_with(errc::timeout, failure::send_timeout));
    }
    CHECK(std::chrono::steady_clock::now() - began >= 490ms);
    CHECK(std::chrono::steady_clock::now() - began < 8s);
    CHECK(c.counters().connections_in_use.value() == 0);
    CHECK(c.counters().connections_idle.value() == 0);
}

TEST_CASE("a body that comes slowly but steadily meets no limit", "[net][timeout]") {
    script_server s([](peer& p, int) {
        p.head();
        p.send(head_5);
        // Together they take longer than the limit, each a small part of it.
        for (int i = 0; i < 5; ++i) {
            std::this_thread::sleep_for(500ms);
            p.send("x");
        }
    });
    CHECK(call_once(make_client(), {.to = s.to(), .timing = {.progress = 2000ms}}).body == "xxxxx");
}

TEST_CASE("the deadline ends every phase", "[net][timeout]") {
    const auto c = make_client();
    const auto with_deadline = [&](net::request r) { return call_once(c, std::move(r), deadline::in(600ms)); };
    SECTION("connecting") {
        const full_listener full;
        CHECK(with_deadline({.to = full.to()}).failed_with(errc::timeout, failure::deadline_passed));
    }
    SECTION("waiting for the response") {
        script_server s([](peer& p, int) { p.wait_closed(); });
        CHECK(with_deadline({.to = s.to()}).failed_with(errc::timeout, failure::deadline_passed));
    }
    SECTION("reading, though bytes come") {
        script_server s([](peer& p, int) {
            p.send("HTTP/1.1 200 OK\r\n\r\n");
            while (p.send("x")) std::this_thread::sleep_for(5ms);
        });
        const auto a = with_deadline({.to = s.to()});
        CHECK(a.status == 200);
        CHECK(a.failed_with(errc::timeout, failure::deadline_passed));
    }
    SECTION("sending") {
        script_server s([](peer& p, int) {
            pollfd hangup{p.fd(), POLLRDHUP, 0};
            ::poll(&hangup, 1, 10'000);
        });
        CHECK(with_deadline({.method = "PUT", .to = s.to(), .body = long_body()})
                  .failed_with(errc::timeout, failure::deadline_passed));
    }
    CHECK(c.counters().connections_in_use.value() == 0);
}

TEST_CASE("a cancelled call ends at once, in every phase", "[net][cancel]") {
    auto c = make_client({.connections_max = 1});
    loop l;
    std::atomic<bool> reached{false};
    std::atomic<bool> left{false};
    std::unique_ptr<script_server> s;
    const auto serve = [&](std::string text, bool read = true) {
        s = std::make_unique<script_server>([&, text, read](peer& p, int) {
            if (read) p.head();
            p.send(text);
            reached = true;
            if (read) {
                left = p.wait_closed();
            } else {
                pollfd hangup{p.fd(), POLLRDHUP, 0};
                left = ::poll(&hangup, 1, 10'000) == 1;
            }
        });
    };
    const auto check = [&](loop::job& j, const std::function<bool()>& there) {
        REQUIRE(l.until(there));
        REQUIRE_FALSE(j.done.has_value());
        const auto began = std::chrono::steady_clock::now();
        j.cancel.emit(asio::cancellation_type::total);
        REQUIRE(l.until([&] { return j.done.has_value(); }));
        CHECK(std::chrono::steady_clock::now() - began < 5s);  // Limits are 10 s and more.
        INFO(j.done->error_text());
        CHECK(j.done->failed_with(errc::cancelled, failure::cancelled));
        CHECK(c.counters().connections_in_use.value() == 0);
        CHECK(c.counters().connections_idle.value() == 0);
        if (s) CHECK(l.until([&] { return left.load(); }));
    };
    SECTION("connecting") {
        const full_listener full;
        auto& j = l.start(c, {.to = full.to()});
        check(j, [&] { return c.counters().connections_in_use.value() == 1; });
    }
    SECTION("TLS handshake") {
        s = std::make_unique<script_server>([&](peer& p, int) {
            reached = true;
            left = p.wait_closed();
        });
        auto to = s->to();
        to.tls = true;
        check(l.start(c, {.to = to}), [&] { return reached.load(); });
    }
    SECTION("waiting for the response") {
        serve("");
        check(l.start(c, {.to = s->to()}), [&] { return reached.load(); });
    }
    SECTION("within the head") {
        serve("HTTP/1.1 200");
        check(l.start(c, {.to = s->to()}), [&] { return c.counters().bytes_received.value() == 12; });
    }
    SECTION("within the body") {
        serve(head_5 + "ab");
        check(l.start(c, {.to = s->to()}), [&] { return c.counters().bytes_received.value() == head_5.size() + 2; });
    }
    SECTION("sending") {
        serve("", false);
        std::uint64_t before = 1;
        check(l.start(c, {.method = "PUT", .to = s->to(), .body = long_body()}), [&] {
            // Until nothing more goes out.
            return reached && c.counters().bytes_sent.value() > 0 &&
                   std::exchange(before, c.counters().bytes_sent.value()) == before;
        });
    }
    SECTION("waiting for 100 Continue") {
        serve("");
        check(l.start(c, {.method = "PUT", .to = s->to(), .body = {slice_of("x")}, .expect_continue = true}),
              [&] { return reached.load(); });
    }
    SECTION("in the body's source") {
        stuck_source source;
        serve("");
        auto& j = l.start(c, {.method = "PUT", .to = s->to(), .source = &source});
        REQUIRE(l.until([&] { return source.waiting && reached; }));
        j.cancel.emit(asio::cancellation_type::total);
        REQUIRE(l.until([&] { return j.done.has_value(); }));
        CHECK(j.done->failed->code == errc::cancelled);
        CHECK(c.counters().connections_in_use.value() == 0);
        CHECK(l.until([&] { return left.load(); }));
    }
}
