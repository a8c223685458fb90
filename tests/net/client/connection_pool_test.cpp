#include "tests/net/client/script_server.hpp"

#include <catch2/catch.hpp>

#include <boost/asio/executor_work_guard.hpp>

#include <condition_variable>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;
using net::failure;

namespace {

/// A door that the test opens for scripts.
class gate {
  public:
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    bool wait() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 10s, [&] { return open_; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

}  // namespace

TEST_CASE("a connection that died while idle is replaced, once", "[net][pool][stale]") {
    std::atomic<int> seen{0};
    bool again = false;  // The new connection dies as well.
    bool silent = false;
    int answered_with = 0;
    SECTION("ended in order as the second request comes") {}
    SECTION("reset as the second request comes") {
        silent = true;
    }
    SECTION("and the new one too") {
        again = true;
    }
    script_server s([&](peer& p, int number) {
        p.head();
        ++seen;
        if (number == 0) {
            p.answer("one");
            p.head();
            ++seen;
            if (silent) p.reset();
            return;
        }
        if (!again) p.answer("two");
    });
    const auto c = make_client();
    const auto all = run(call_in_turn(c, {.to = s.to()}, 2));
    answered_with = s.accepted();
    CHECK(all[0].body == "one");
    CHECK(answered_with == 2);
    CHECK(seen == 3);
    CHECK(c.counters().stale_retries.value() == 1);
    if (again) {
        CHECK(all[1].failed_with(errc::unavailable, failure::no_response));
    } else {
        CHECK(all[1].body == "two");
    }
    CHECK(c.counters().connections_in_use.value() == 0);
}

TEST_CASE("requests that are not idempotent are not repeated by default", "[net][pool][stale]") {
    script_server s([&](peer& p, int number) {
        p.head();
        p.answer("ok");
        if (number == 0) p.head();
    });
    const auto c = make_client();
    const auto post = [&](std::optional<bool> idempotent) {
        return run(call_in_turn(c, {.method = "POST", .to = s.to(), .idempotent = idempotent}, 2)).back();
    };
    SECTION("POST") {
        CHECK(post(std::nullopt).failed_with(errc::unavailable, failure::no_response));
    }
    SECTION("POST marked as idempotent") {
        CHECK(post(true).body == "ok");
    }
    SECTION("a response that has begun") {
        script_server cut([&](peer& p, int) {
            p.head();
            p.answer("ok");
            p.head();
            p.send("H");
        });
        const auto all = run(call_in_turn(c, {.to = cut.to()}, 2));
        CHECK(all[1].failed_with(errc::unavailable, failure::no_response));
        CHECK(c.counters().stale_retries.value() == 0);
    }
}

TEST_CASE("idle connections that the server closed or sent data on are not used", "[net][pool]") {
    gate closed;
    std::string unasked;
    SECTION("closed") {}
    SECTION("data sent") {
        unasked = "HTTP/1.1 408 Request Timeout\r\n\r\n";
    }
    script_server s([&](peer& p, int number) {
        p.head();
        p.answer("ok");
        if (number > 0) return;
        p.send(unasked);
        ::shutdown(p.fd(), SHUT_WR);
        closed.open();
        p.wait_closed();
    });
    const auto c = make_client();
    loop l;
    auto& first = l.start(c, {.method = "POST", .to = s.to()});
    REQUIRE(l.until([&] { return first.done.has_value(); }));
    REQUIRE(closed.wait());
    // POST is never repeated: it succeeds only if the dead connection is seen before.
    auto& second = l.start(c, {.method = "POST", .to = s.to()});
    REQUIRE(l.until([&] { return second.done.has_value(); }));
    CHECK(second.done->body == "ok");
    CHECK(c.counters().connections_reused.value() == 0);
    CHECK(c.counters().stale_retries.value() == 0);
}

TEST_CASE("idle connections are closed in time, and with the client", "[net][pool]") {
    std::atomic<int> closed{0};
    script_server s([&](peer& p, int) {
        p.head();
        p.answer("ok");
        if (p.wait_closed()) ++closed;
    });
    loop l;
    std::optional<net::client> c;
    SECTION("after the limit") {
        c = make_client({.idle_limit = 100ms});
        auto& j = l.start(*c, {.to = s.to()});
        REQUIRE(l.until([&] { return j.done.has_value(); }));
        CHECK(c->counters().connections_idle.value() == 1);
        const auto work = asio::make_work_guard(l.context());
        CHECK(l.until([&] { return closed == 1; }));
        CHECK(c->counters().connections_idle.value() == 0);
        CHECK(c->counters().idle_dropped.value() == 1);
    }
    SECTION("by the server, and noticed") {
        c = make_client({.idle_limit = 1h});
        script_server leaves([&](peer& p, int) {
            p.head();
            p.answer("ok");
        });
        auto& j = l.start(*c, {.to = leaves.to()});
        REQUIRE(l.until([&] { return j.done.has_value(); }));
        const auto work = asio::make_work_guard(l.context());
        CHECK(l.until([&] { return c->counters().connections_idle.value() == 0; }));
        closed = 1;
    }
    SECTION("with the client") {
        c = make_client({.idle_limit = 1h});
        auto& j = l.start(*c, {.to = s.to()});
        REQUIRE(l.until([&] { return j.done.has_value(); }));
        c.reset();
        CHECK(l.until([&] { return closed == 1; }));
    }
    SECTION("with the loop") {
        c = make_client({.idle_limit = 1h});
        {
            loop inner;
            auto& j = inner.start(*c, {.to = s.to()});
            REQUIRE(inner.until([&] { return j.done.has_value(); }));
        }
        CHECK(c->counters().connections_idle.value() == 0);
        CHECK(l.until([&] { return closed == 1; }));
    }
    CHECK(closed == 1);
}

TEST_CASE("idle connections do not keep a loop running", "[net][pool]") {
    script_server s([&](peer& p, int) {
        while (!p.head().empty()) p.answer("ok");
    });
    const auto c = make_client({.idle_limit = 1h});
    const auto began = std::chrono::steady_clock::now();
    CHECK(call_once(c, {.to = s.to()}).body == "ok");
    CHECK(std::chrono::steady_clock::now() - began < 5s);
    CHECK(c.counters().connections_idle.value() == 1);
}

TEST_CASE("a loop may be destroyed while requests are running", "[net][pool][lifetime]") {
    const auto c = make_client({.connections_max = 1});
    std::atomic<int> arrived{0};
    script_server s([&](peer& p, int) {
        p.head();
        ++arrived;
        p.wait_closed();
    });
    {
        // One waits for its response, one for a connection, one (perhaps) for the name service.
        loop l;
        l.start(c, {.to = s.to()});
        l.start(c, {.to = s.to()});
        REQUIRE(l.until([&] { return c.counters().waiting.value() == 1 && arrived == 1; }));
        l.start(c, {.to = s.to("localhost")});
        l.context().restart();
        l.context().poll();
    }
    CHECK(c.counters().waiting.value() == 0);
    CHECK(c.counters().connections_in_use.value() == 0);
}

TEST_CASE("requests beyond the limit wait", "[net][pool][limit]") {
    std::mutex mutex;
    std::vector<std::string> order;
    gate go;
    script_server s([&](peer& p, int) {
        for (auto head = p.head(); !head.empty(); head = p.head()) {
            go.wait();
            {
                const std::lock_guard lock(mutex);
                order.push_back(head.substr(4, head.find(' ', 4) - 4));
            }
            p.answer("ok");
        }
    });
    const auto c = make_client({.connections_max = 1});
    loop l;
    std::vector<loop::job*> jobs;
    for (int i = 0; i < 5; ++i) jobs.push_back(&l.start(c, {.to = s.to(), .target = "/" + std::to_string(i)}));
    REQUIRE(l.until([&] { return c.counters().waiting.value() == 4; }));
    CHECK(c.counters().connections_in_use.value() == 1);

    SECTION("first come, first served") {
        go.open();
        REQUIRE(l.until([&] { return std::ranges::all_of(jobs, [](auto* j) { return j->done.has_value(); }); }));
        CHECK(order == std::vector<std::string>{"/0", "/1", "/2", "/3", "/4"});
        CHECK(s.accepted() == 1);
        CHECK(c.counters().waits.value() == 4);
        CHECK(c.counters().connections_reused.value() == 4);
    }
    SECTION("cancelled and timed-out requests leave the queue") {
        auto& late = l.start(c, {.to = s.to(), .target = "/late"}, deadline::in(100ms));
        jobs[2]->cancel.emit(asio::cancellation_type::total);
        REQUIRE(l.until([&] { return jobs[2]->done.has_value() && late.done.has_value(); }));
        CHECK(jobs[2]->done->failed_with(errc::cancelled, failure::cancelled));
        CHECK(late.done->failed_with(errc::timeout, failure::wait_timeout));
        go.open();
        REQUIRE(l.until([&] { return std::ranges::all_of(jobs, [](auto* j) { return j->done.has_value(); }); }));
        CHECK(order == std::vector<std::string>{"/0", "/1", "/3", "/4"});
    }
    SECTION("one that is cancelled when it is granted a place passes it on") {
        go.open();
        REQUIRE(l.until([&] {
            if (jobs[0]->done) return true;
            return false;
        }));
        for (auto* j : {jobs[1], jobs[2], jobs[3]}) j->cancel.emit(asio::cancellation_type::total);
        REQUIRE(l.until([&] { return std::ranges::all_of(jobs, [](auto* j) { return j->done.has_value(); }); }));
        CHECK(jobs[4]->done->body == "ok");
    }
    SECTION("other servers are not held up") {
        script_server other([&](peer& p, int) {
            p.head();
            p.answer("other");
        });
        auto& j = l.start(c, {.to = other.to()});
        REQUIRE(l.until([&] { return j.done.has_value(); }));
        CHECK(j.done->body == "other");
        go.open();
        REQUIRE(l.until([&] { return std::ranges::all_of(jobs, [](auto* k) { return k->done.has_value(); }); }));
    }
    SECTION("closing the client fails them; running requests go on") {
        auto closing = make_client({.connections_max = 1});
        auto& runs = l.start(closing, {.to = s.to(), .target = "/runs"});
        auto& waits = l.start(closing, {.to = s.to(), .target = "/waits"});
        REQUIRE(l.until([&] { return closing.counters().waiting.value() == 1 && s.accepted() == 2; }));
        closing.close();
        REQUIRE(l.until([&] { return waits.done.has_value(); }));
        CHECK(waits.done->failed_with(errc::unavailable, failure::closed));
        auto& later = l.start(closing, {.to = s.to()});
        REQUIRE(l.until([&] { return later.done.has_value(); }));
        CHECK(later.done->failed_with(errc::unavailable, failure::closed));
        go.open();
        REQUIRE(l.until([&] { return runs.done.has_value(); }));
        CHECK(runs.done->body == "ok");
        REQUIRE(l.until([&] { return std::ranges::all_of(jobs, [](auto* k) { return k->done.has_value(); }); }));
    }
    CHECK(l.until([&] { return c.counters().connections_in_use.value() == 0; }));
    CHECK(c.counters().waiting.value() == 0);
}

TEST_CASE("a fresh connection is opened on request, within the limit", "[net][pool]") {
    script_server s([&](peer& p, int number) {
        while (!p.head().empty()) p.answer(std::to_string(number));
    });
    const auto c = make_client({.connections_max = 1});
    const auto all = run(call_in_turn(c, {.to = s.to(), .fresh_connection = true}, 3));
    CHECK(all[2].body == "2");
    CHECK(c.counters().connections_idle.value() == 1);
    CHECK(c.counters().idle_dropped.value() == 2);
}

TEST_CASE("one client serves several loops at a time", "[net][pool][threads]") {
    script_server s([&](peer& p, int) {
        while (!p.head().empty()) p.answer("ok");
    });
    auto c = make_client();
    std::atomic<int> good{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int round = 0; round < 5; ++round) {
                    loop l;
                    std::vector<loop::job*> jobs;
                    for (int i = 0; i < 10; ++i) jobs.push_back(&l.start(c, {.to = s.to()}));
                    l.until([&] { return std::ranges::all_of(jobs, [](auto* j) { return j->done.has_value(); }); });
                    for (auto* j : jobs) good += j->done && j->done->body == "ok";
                }
            });
        }
    }
    CHECK(good == 200);
    CHECK(c.counters().connections_in_use.value() == 0);
    CHECK(c.counters().connections_idle.value() == 0);
    // Closing races with loops that go.
    for (int round = 0; round < 20; ++round) {
        auto racing = make_client();
        auto l = std::make_unique<loop>();
        auto& j = l->start(racing, {.to = s.to()});
        l->until([&] { return j.done.has_value(); });
        const std::jthread closer([&] { racing.close(); });
        l.reset();
    }
}
