/// The list of a remote cluster's keep services: fetched once for all readers, kept, and fetched again.
#include "protocol/limits.hpp"
#include "store/remote/remote_reader.hpp"
#include "tests/store/remote/fetch_fixture.hpp"
#include "tests/store/remote/remote_fixture.hpp"

#include <fmt/format.h>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;

namespace {

/// The API server of the other cluster: lists its services, hangs until its mode changes, or fails.
class flaky_api {
  public:
    enum mode_type { responds, hangs, fails };

    flaky_api(std::string list, mode_type at_first) : mode(at_first), list_(std::move(list)) {}

    [[nodiscard]] net::endpoint to() const { return server_.to(); }

    std::atomic<mode_type> mode;
    std::atomic<int> asked{0};

  private:
    void serve(peer& p) {
        while (!p.head().empty()) {
            ++asked;
            pollfd hangup{p.fd(), POLLRDHUP, 0};
            while (mode == hangs && ::poll(&hangup, 1, 5) == 0) {
            }
            if (mode == responds)
                p.answer(list_);
            else
                p.send("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
        }
    }

    const std::string list_;
    script_server server_{[this](peer& p, int) { serve(p); }};  // First to go.
};

}  // namespace

TEST_CASE("a failing API server is an outage, and is not asked again at once", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    for (const service_plan& plan :
         {service_plan{.status = 502}, service_plan{.body = "<html>"}, service_plan{.body = listed({})}}) {
        keep_service api(plan);
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
        for (int i = 0; i < 2; ++i) {
            string_sink sink;
            const auto got = run(remote_fixture::read_later(reader, f.request(f.remote_name("foo")), sink));
            REQUIRE(!got.has_value());
            CHECK(got.error() == errc::unavailable);
            CHECK(got.error().text.find("list of keep services") != std::string::npos);
        }
        CHECK(api.requests().size() == 1);
    }
}

TEST_CASE("readers that wait for the list share one fetch, which goes on without the one that began it",
          "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    flaky_api api(listed({f.services[0]->port()}), flaky_api::hangs);
    store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
    struct job {
        string_sink sink;
        asio::cancellation_signal cancel;
        std::optional<result<std::uint64_t>> got;
    };
    std::vector<std::unique_ptr<job>> jobs;
    asio::io_context& context = new_context();
    const auto guarded = [](store::remote_reader& r, store::remote_read_request q,
                            string_sink& s) -> awaitable<result<std::uint64_t>> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await r.read(q, s);
    };
    for (int i = 0; i < 5; ++i) {
        auto& j = *jobs.emplace_back(std::make_unique<job>());
        test::start_work(context, guarded(reader, f.request(f.remote_name("foo")), j.sink), j.cancel.slot(),
                         [&j](result<std::uint64_t> got) { j.got = std::move(got); });
    }
    REQUIRE(turn_until(context, [&] { return api.asked == 1; }));
    // A waiting reader leaves; then the one that started the fetch.
    jobs[3]->cancel.emit(asio::cancellation_type::total);
    REQUIRE(turn_until(context, [&] { return jobs[3]->got.has_value(); }));
    CHECK(jobs[3]->got->error() == errc::cancelled);
    CHECK(api.asked == 1);
    jobs[0]->cancel.emit(asio::cancellation_type::total);
    REQUIRE(turn_until(context, [&] { return jobs[0]->got.has_value(); }));
    api.mode = flaky_api::responds;
    CHECK(turn_until(context,
                     [&] { return std::ranges::all_of(jobs, [](const auto& j) { return j->got.has_value(); }); }));
    CHECK(jobs[0]->got->error() == errc::cancelled);
    for (const int i : {1, 2, 4}) {
        REQUIRE(jobs[static_cast<std::size_t>(i)]->got->has_value());
        CHECK(jobs[static_cast<std::size_t>(i)]->sink.text == "foo");
    }
    CHECK(api.asked == 1);
}

TEST_CASE("a reader that runs out of time does not end the fetch for the others", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    flaky_api api(listed({f.services[0]->port()}), flaky_api::hangs);
    store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
    asio::io_context& context = new_context();
    string_sink first, second;
    std::optional<result<std::uint64_t>> one, two;
    auto hasty = f.request(f.remote_name("foo"));
    hasty.until = deadline::in(100ms);
    test::start_work(context, remote_fixture::read_later(reader, hasty, first),
                     [&](result<std::uint64_t> got) { one = std::move(got); });
    REQUIRE(turn_until(context, [&] { return one.has_value(); }));
    REQUIRE(!one->has_value());
    CHECK(one->error() == errc::timeout);
    // The first one's timeout does not count as a failure of the API server.
    test::start_work(context, remote_fixture::read_later(reader, f.request(f.remote_name("foo")), second),
                     [&](result<std::uint64_t> got) { two = std::move(got); });
    api.mode = flaky_api::responds;
    REQUIRE(turn_until(context, [&] { return two.has_value(); }));
    REQUIRE(two->has_value());
    CHECK(second.text == "foo");
    CHECK(api.asked == 1);
}

TEST_CASE("an expired list is served while a new one is fetched, and kept when that fails", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    flaky_api api(listed({f.services[0]->port()}), flaky_api::responds);
    asio::io_context& context = new_context();
    const auto read = [&](store::remote_reader& reader) {
        string_sink sink;
        std::optional<result<std::uint64_t>> got;
        test::start_work(context, remote_fixture::read_later(reader, f.request(f.remote_name("foo")), sink),
                         [&](result<std::uint64_t> r) { got = std::move(r); });
        REQUIRE(turn_until(context, [&] { return got.has_value(); }));
        return got->has_value() && sink.text == "foo";
    };
    SECTION("served, and renewed") {
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store,
                                    {.lifetime = 1ms, .served_max = 1h, .retry_after = 1ms});
        CHECK(read(reader));
        api.mode = flaky_api::hangs;
        // No reader waits for it (it ends after limits::remote_services_timeout), and there is one fetch at a time.
        const auto began = std::chrono::steady_clock::now();
        for (int i = 0; i < 3; ++i) CHECK(read(reader));
        CHECK(std::chrono::steady_clock::now() - began < 10s);
        REQUIRE(turn_until(context, [&] { return read(reader) && api.asked == 2; }));
        api.mode = flaky_api::fails;
        REQUIRE(turn_until(context, [&] { return read(reader) && api.asked >= 4; }));
        api.mode = flaky_api::responds;
        const int before = api.asked;
        REQUIRE(turn_until(context, [&] { return read(reader) && api.asked >= before + 2; }));
    }
    SECTION("too old to be served before it is renewed, but kept when that fails") {
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store,
                                    {.lifetime = 1ms, .served_max = 1ms, .retry_after = 1h});
        CHECK(read(reader));
        api.mode = flaky_api::fails;
        REQUIRE(turn_until(context, [&] { return read(reader) && api.asked >= 2; }));
        const int then = api.asked;
        CHECK(read(reader));
        CHECK(api.asked == then);
    }
}

TEST_CASE("a list whose services are all out of reach is fetched again before it expires", "[store][remote]") {
    remote_fixture f({{.body = "foo"}});
    flaky_api api(listed({f.services[0]->port()}), flaky_api::responds);
    store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store,
                                {.lifetime = 1h, .served_max = 1h, .retry_after = 1ms});
    asio::io_context& context = new_context();
    const auto reads = [&](const std::string& content) {
        string_sink sink;
        std::optional<result<std::uint64_t>> got;
        test::start_work(context, remote_fixture::read_later(reader, f.request(f.remote_name(content)), sink),
                         [&](result<std::uint64_t> r) { got = std::move(r); });
        REQUIRE(turn_until(context, [&] { return got.has_value(); }));
        return got->has_value();
    };
    CHECK(reads("foo"));
    // It responds, so its address is right.
    CHECK_FALSE(reads("another block"));
    CHECK(reads("foo"));
    CHECK(api.asked == 1);
    f.services[0]->stop();
    CHECK_FALSE(reads("foo"));
    CHECK_FALSE(reads("foo"));
    CHECK(turn_until(context, [&] { return api.asked == 2; }));
}

TEST_CASE("redirects are not followed, neither a keep service's nor an API server's", "[store][remote]") {
    for (const unsigned status : {301u, 302u, 303u, 307u, 308u}) {
        keep_service target({.body = "foo"});
        const service_plan away{.status = status, .headers = "Location: " + target.url() + "/x\r\n"};
        remote_fixture f({away});
        CHECK(f.failure(f.remote_name("foo")) == errc::unavailable);
        keep_service api(away);
        store::remote_reader reader({{.id = "z0000", .api = api.to(), .client = &f.client}}, f.store);
        string_sink sink;
        const auto got = run(remote_fixture::read_later(reader, f.request(f.remote_name("foo")), sink));
        REQUIRE(!got.has_value());
        CHECK(got.error() == errc::unavailable);
        CHECK(api.requests().size() == 1);
        CHECK(target.requests().empty());
    }
}
