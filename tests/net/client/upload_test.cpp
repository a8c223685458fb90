#include "net/limits.hpp"
#include "tests/net/client/script_server.hpp"

#include <catch2/catch.hpp>

#include <condition_variable>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;
using net::failure;

namespace {

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i % 23 + i / 4096 % 3);
    return out;
}

/// Gives `text` in pieces; misbehaves as told.
class text_source final : public net::body_source {
  public:
    explicit text_source(std::string text, std::size_t piece) : text_(std::move(text)), piece_(piece) {}
    std::uint64_t size() const noexcept override { return announced.value_or(text_.size()); }
    awaitable<result<const_slice>> next() override {
        ++calls;
        if (fail_at == calls) co_return fail(errc::checksum_mismatch, "the caller's own words");
        auto out = slice_of(std::string_view(text_).substr(std::min(at_, text_.size()), piece_));
        at_ += out.size();
        co_return out;
    }
    bool rewind() override {
        ++rewinds;
        if (!can_rewind) return false;
        at_ = 0;
        return true;
    }

    std::optional<std::uint64_t> announced;
    int fail_at = 0;
    bool can_rewind = true;
    int calls = 0;
    int rewinds = 0;

  private:
    const std::string text_;
    const std::size_t piece_;
    std::size_t at_ = 0;
};

/// Takes PUTs and remembers the last body.
struct store {
    script_server server;
    std::mutex mutex;
    std::string head;
    std::string body;

    store()
        : server([this](peer& p, int) {
              for (auto h = p.head(); !h.empty(); h = p.head()) {
                  const auto at = h.find("Content-Length: ");
                  const auto size = at == std::string::npos ? 0 : std::stoul(h.substr(at + 16));
                  if (h.find("Expect: 100-continue") != std::string::npos) p.send("HTTP/1.1 100 Continue\r\n\r\n");
                  auto b = p.body(size);
                  const std::lock_guard lock(mutex);
                  head = std::move(h);
                  body = std::move(b);
                  p.answer("stored");
              }
          }) {}
};

}  // namespace

TEST_CASE("bodies are sent whole, from slices and from sources", "[net][upload]") {
    store s;
    const auto c = make_client();
    const auto text = pattern(5'000'000);
    SECTION("slices, more than one system call takes") {
        net::request r{.method = "PUT", .to = s.server.to()};
        for (std::size_t at = 0; at < text.size(); at += 50'000) {
            r.body.push_back(slice_of(std::string_view(text).substr(at, 50'000)));
            r.body.emplace_back();  // Empty ones do no harm.
        }
        CHECK(call_once(c, r).body == "stored");
        CHECK(call_once(c, r).body == "stored");
    }
    SECTION("a source") {
        text_source source(text, 262'144);
        CHECK(call_once(c, {.method = "PUT", .to = s.server.to(), .source = &source}).body == "stored");
        CHECK(source.rewinds == 0);
    }
    SECTION("a source, after 100 Continue") {
        text_source source(text, 99'999);
        CHECK(call_once(c, {.method = "PUT", .to = s.server.to(), .source = &source, .expect_continue = true}).body ==
              "stored");
    }
    SECTION("slices, after 100 Continue") {
        CHECK(call_once(c, {.method = "PUT", .to = s.server.to(), .body = {slice_of(text)}, .expect_continue = true})
                  .body == "stored");
    }
    CHECK(s.body == text);
    CHECK(s.head.find("Content-Length: 5000000\r\n") != std::string::npos);
    CHECK(c.counters().connections_in_use.value() == 0);
}

TEST_CASE("empty bodies have a length where one is expected", "[net][upload]") {
    store s;
    const auto c = make_client();
    const auto head_of = [&](net::request r) {
        r.to = s.server.to();
        CHECK(call_once(c, std::move(r)).body == "stored");
        return s.head;
    };
    CHECK(head_of({.method = "PUT"}).find("Content-Length: 0\r\n") != std::string::npos);
    CHECK(head_of({.method = "PUT", .body = {const_slice{}}, .expect_continue = true}).find("Expect") ==
          std::string::npos);
    CHECK(head_of({.method = "GET"}).find("Content-Length") == std::string::npos);
    CHECK(head_of({.method = "DELETE"}).find("Content-Length") == std::string::npos);
    text_source empty("", 10);
    CHECK(head_of({.method = "PUT", .source = &empty}).find("Content-Length: 0\r\n") != std::string::npos);
}

TEST_CASE("sources that fail or announce a wrong size end the request", "[net][upload]") {
    std::atomic<int> closed{0};
    script_server s([&](peer& p, int) {
        p.head();
        if (p.wait_closed()) ++closed;
    });
    const auto c = make_client();
    text_source source(pattern(1000), 300);
    errc code{};
    SECTION("an error") {
        source.fail_at = 3;
        code = errc::checksum_mismatch;
    }
    SECTION("an error at once") {
        source.fail_at = 1;
        code = errc::checksum_mismatch;
    }
    SECTION("too short") {
        source.announced = 1001;
        code = errc::bad_request;
    }
    SECTION("too long") {
        source.announced = 999;
        code = errc::bad_request;
    }
    const auto a = call_once(c, {.method = "PUT", .to = s.to(), .source = &source});
    CHECK(a.failed_with(code, failure::body_source));
    CHECK(c.counters().connections_in_use.value() == 0);
    CHECK(c.counters().connections_idle.value() == 0);
}

TEST_CASE("uploads are repeated on a new connection if their source can rewind", "[net][upload][stale]") {
    std::string got;
    script_server s([&](peer& p, int number) {
        p.head();
        if (number > 0) got = p.body(3'000'000);
        p.answer("ok");
        if (number > 0) return;
        // The second request: its head and a part of its body, then the end.
        p.head();
        p.body(1000);
        p.reset();
    });
    const auto c = make_client();
    const auto text = pattern(3'000'000);
    loop l;
    auto& first = l.start(c, {.to = s.to()});
    REQUIRE(l.until([&] { return first.done.has_value(); }));
    text_source source(text, 100'000);
    SECTION("it can") {
        auto& put = l.start(c, {.method = "PUT", .to = s.to(), .source = &source});
        REQUIRE(l.until([&] { return put.done.has_value(); }));
        CHECK(put.done->body == "ok");
        CHECK(got == text);
        CHECK(c.counters().stale_retries.value() == 1);
    }
    SECTION("it cannot") {
        source.can_rewind = false;
        auto& put = l.start(c, {.method = "PUT", .to = s.to(), .source = &source});
        REQUIRE(l.until([&] { return put.done.has_value(); }));
        CHECK(put.done->failed_with(errc::unavailable, failure::no_response));
        CHECK(c.counters().stale_retries.value() == 0);
    }
    SECTION("it need not: everything is in the first piece") {
        text_source whole(text, text.size());
        whole.can_rewind = false;
        auto& put = l.start(c, {.method = "PUT", .to = s.to(), .source = &whole});
        REQUIRE(l.until([&] { return put.done.has_value(); }));
        CHECK(put.done->body == "ok");
        CHECK(got == text);
        CHECK(whole.rewinds == 0);
    }
}

TEST_CASE("a response that comes while the body is being sent is returned, and the connection closed",
          "[net][upload][early]") {
    const auto c = make_client();
    const auto text = pattern(40'000'000);
    text_source source(text, 262'144);
    bool by_source = false;
    bool resets = false;
    SECTION("slices") {}
    SECTION("a source") {
        by_source = true;
    }
    SECTION("slices, and the server does not read on") {
        resets = true;
    }
    std::atomic<bool> left{false};
    script_server s([&](peer& p, int) {
        p.head();
        p.body(100'000);
        p.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
        // Without reading on, so that the body cannot end meanwhile, and what was sent arrives before a reset does.
        pollfd hangup{p.fd(), POLLRDHUP, 0};
        ::poll(&hangup, 1, 10'000);
        left = resets || p.wait_closed();
    });
    net::request r{.method = "PUT", .to = s.to()};
    if (by_source) {
        r.source = &source;
    } else {
        r.body = {slice_of(text)};
    }
    const auto a = call_once(c, r);
    CHECK(a.status == 413);
    CHECK(a.body == "big");
    CHECK(c.counters().connections_idle.value() == 0);
    CHECK(c.counters().connections_in_use.value() == 0);
    s.stop();
    CHECK(left);
}

TEST_CASE("a response is found even if the server has closed already", "[net][upload][early]") {
    script_server s([&](peer& p, int) {
        p.head();
        p.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        ::shutdown(p.fd(), SHUT_WR);
        p.wait_closed();
    });
    const auto c = make_client();
    const auto a = call_once(c, {.method = "PUT", .to = s.to(), .body = {slice_of(pattern(20'000'000))}});
    CHECK(a.status == 403);
    CHECK(a.body == "no");
}

TEST_CASE("a server that never sends 100 Continue soon gets no Expect header any more", "[net][upload][continue]") {
    std::mutex mutex;
    std::vector<std::string> heads;
    std::atomic<bool> speaks{false};
    script_server s([&](peer& p, int) {
        for (auto head = p.head(); !head.empty(); head = p.head()) {
            if (speaks && head.contains("Expect: ")) p.send("HTTP/1.1 100 Continue\r\n\r\n");
            p.body(3);
            {
                const std::lock_guard lock(mutex);
                heads.push_back(head);
            }
            p.answer("ok");
        }
    });
    const auto c = make_client();
    const net::request put{.method = "PUT", .to = s.to(), .body = {slice_of("abc")}, .expect_continue = true};
    SECTION("silent") {
        for (const auto& a : run(call_in_turn(c, put, 4))) CHECK(a.body == "ok");
        const std::lock_guard lock(mutex);
        REQUIRE(heads.size() == 4);
        for (std::size_t i = 0; i < heads.size(); ++i)
            CHECK(heads[i].contains("Expect: 100-continue") == (i < limits::net_continue_silences));
    }
    SECTION("a 100 Continue between silences resets the count") {
        const auto later = [&](int n) { return run(call_in_turn(c, put, n)); };
        CHECK(later(1).front().body == "ok");
        speaks = true;
        CHECK(later(1).front().body == "ok");
        speaks = false;
        CHECK(later(2).back().body == "ok");
        const std::lock_guard lock(mutex);
        REQUIRE(heads.size() == 4);
        for (const auto& head : heads) CHECK(head.contains("Expect: 100-continue"));
    }
}

TEST_CASE("Expect: 100-continue saves sending a body that the server refuses", "[net][upload][continue]") {
    const auto c = make_client();
    text_source source(pattern(1'000'000), 1000);
    std::string got = "nothing";
    SECTION("refused") {
        script_server s([&](peer& p, int) {
            p.head();
            p.send("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://b/\r\nContent-Length: 0\r\n\r\n");
            got = p.body(1);
        });
        const auto a = call_once(c, {.method = "PUT", .to = s.to(), .source = &source, .expect_continue = true});
        CHECK(a.status == 307);
        CHECK(source.calls == 0);
        // Whether the body would follow is unclear to both sides.
        CHECK(c.counters().connections_idle.value() == 0);
        s.stop();
        CHECK(got.empty());
    }
    SECTION("a server that ignores it gets the body after a while") {
        script_server s([&](peer& p, int) {
            p.head();
            got = p.body(1'000'000);
            p.answer("ok");
        });
        const auto began = std::chrono::steady_clock::now();
        const auto a = call_once(c, {.method = "PUT", .to = s.to(), .source = &source, .expect_continue = true});
        CHECK(a.body == "ok");
        CHECK(std::chrono::steady_clock::now() - began >= limits::net_continue_wait);
        s.stop();
        CHECK(got == pattern(1'000'000));
    }
}
