/// The cache of keys: when they are fetched, which calls wait, and which clock is used.
#include "s3/error.hpp"
#include "s3/sigv4.hpp"
#include "tests/s3/credentials/credential_fixture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

/// A source that tests control.
class manual_source final : public credentials_source {
  public:
    struct state {
        std::atomic<int> calls{0};
        std::atomic<int> cancelled{0};
        std::function<result<credentials>(int)> make;  ///< Called on the fetch's thread.
        std::vector<one_shot<bool>> gates;             ///< If there is one for the call, it waits for it.
    };
    explicit manual_source(std::shared_ptr<state> s) : state_(std::move(s)) {}
    [[nodiscard]] awaitable<result<credentials>> fetch(deadline) override {
        const auto number = state_->calls++;
        if (static_cast<std::size_t>(number) < state_->gates.size()) {
            const auto open = co_await state_->gates[static_cast<std::size_t>(number)].wait();
            if (!open) {
                ++state_->cancelled;
                co_return std::unexpected(open.error());
            }
        }
        co_return state_->make(number);
    }

  private:
    const std::shared_ptr<state> state_;
};

credentials temporary(int number, sys_seconds expires) {
    credentials out;
    out.keys.access_key_id = "K" + std::to_string(number);
    out.keys.secret_access_key = secret_string("s");
    out.expires_at = expires;
    out.source = "manual";
    return out;
}

/// A cache with a source and a clock that tests control; keys expire after an hour.
struct manual_cache {
    std::atomic<std::int64_t> now{1'000'000};
    const std::shared_ptr<manual_source::state> state = std::make_shared<manual_source::state>();
    credentials_cache cache{std::make_unique<manual_source>(state),
                            [this] { return sys_time<milliseconds>(seconds(now.load())); }};

    manual_cache() {
        state->make = [this](int number) -> result<credentials> { return temporary(number, in(3600)); };
    }
    [[nodiscard]] sys_seconds in(std::int64_t s) const { return sys_seconds(seconds(now + s)); }
    std::string get(deadline until = soon()) { return key_of(run(cache.get(until))); }
};

std::string format_iso(sys_seconds at) {
    auto text = format_signing_time(at);  // 20130524T000000Z
    for (const auto [where, what] : {std::pair{13, ':'}, {11, ':'}, {6, '-'}, {4, '-'}}) {
        text.insert(static_cast<std::size_t>(where), 1, what);
    }
    return text;
}

bool eventually(const std::function<bool()>& holds) {
    const auto limit = steady_clock::now() + seconds(40);
    while (!holds()) {
        if (steady_clock::now() > limit) return false;
        std::this_thread::yield();
    }
    return true;
}

}  // namespace

TEST_CASE("temporary keys are renewed five minutes early, and the old ones are used meanwhile",
          "[s3][credentials][cache]") {
    manual_cache m;
    CHECK(m.get() == "K0");
    m.now += 3600 - 301;
    CHECK(m.get() == "K0");
    CHECK(m.cache.fetches() == 1);
    m.state->make = [](int) -> result<credentials> { return fail(errc::unavailable, "no"); };
    m.now += 1;
    CHECK(m.get() == "K0");  // Valid for another 300 s.
    CHECK(m.cache.fetches() == 2);
    CHECK(m.get() == "K0");
    CHECK(m.cache.fetches() == 2);  // Not fetched again at once.
    m.now += 300;
    CHECK(m.get() == "error: no");  // Expired.
    CHECK(m.cache.fetches() == 2);
}

TEST_CASE("while a renewal hangs, every call gets the old keys at once", "[s3][credentials][cache]") {
    manual_cache m;
    m.state->gates.resize(2);
    m.state->gates[0].set(true);
    CHECK(m.get() == "K0");
    m.now += 3600 - 200;
    // A deadline that has passed: they do not wait for anything.
    for (int i = 0; i < 10; ++i) CHECK(m.get(deadline(steady_clock::now() - seconds(1))) == "K0");
    CHECK(m.cache.fetches() == 2);
    REQUIRE(eventually([&] { return m.state->calls == 2; }));
    CHECK(m.get() == "K0");
    m.state->gates[1].set(true);
    CHECK(eventually([&] { return m.get() == "K1"; }));
    CHECK(m.cache.fetches() == 2);
}

TEST_CASE("calls without keys wait for one fetch, which goes on when the call that started it is cancelled",
          "[s3][credentials][cache]") {
    manual_cache m;
    m.state->gates.resize(1);
    auto& context = new_context();
    std::vector<asio::cancellation_signal> signals(10);
    std::vector<std::string> outcomes(10);
    const auto one = [](credentials_cache& c) -> awaitable<result<credentials>> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await c.get(soon());
    };
    for (std::size_t i = 0; i < 10; ++i) {
        test::start_work(context, one(m.cache), signals[i].slot(),
                         [&outcomes, i](result<credentials> r) { outcomes[i] = key_of(r); });
    }
    const auto until = [&](const std::function<bool()>& holds) {
        return eventually([&] {
            context.run_for(milliseconds(2));
            return holds();
        });
    };
    REQUIRE(until([&] { return m.state->calls == 1; }));
    signals[0].emit(asio::cancellation_type::total);  // The call that started it.
    REQUIRE(until([&] { return !outcomes[0].empty(); }));
    CHECK(outcomes[0].starts_with("error: "));
    CHECK(m.state->cancelled == 0);
    m.state->gates[0].set(true);
    REQUIRE(until([&] { return std::ranges::none_of(outcomes, [](const auto& o) { return o.empty(); }); }));
    for (std::size_t i = 1; i < 10; ++i) CHECK(outcomes[i] == "K0");
    CHECK(m.cache.fetches() == 1);
}

TEST_CASE("a call that times out leaves the fetch to the next one", "[s3][credentials][cache]") {
    manual_cache m;
    m.state->gates.resize(1);
    CHECK(m.get(deadline::in(milliseconds(50))) == "error: waiting for credentials took too long");
    CHECK(m.get(deadline::in(milliseconds(50))) == "error: waiting for credentials took too long");
    m.state->gates[0].set(true);
    CHECK(m.get() == "K0");
    CHECK(m.cache.fetches() == 1);
}

TEST_CASE("destroying the cache cancels its fetch", "[s3][credentials][cache]") {
    const auto state = std::make_shared<manual_source::state>();
    state->make = [](int number) -> result<credentials> { return temporary(number, sys_days{year{2999} / 1 / 1}); };
    state->gates.resize(1);
    auto cache = std::make_unique<credentials_cache>(std::make_unique<manual_source>(state));
    CHECK(key_of(run(cache->get(deadline::in(milliseconds(20))))).find("too long") != std::string::npos);
    REQUIRE(eventually([&] { return state->calls == 1; }));

    // A call that still waits gets an error.
    auto& context = new_context();
    std::string told;
    test::start_work(context, cache->get(soon()), [&](result<credentials> r) { told = key_of(r); });
    context.poll();
    cache.reset();
    CHECK(state->cancelled == 1);
    CHECK(eventually([&] {
        context.run_for(milliseconds(2));
        return !told.empty();
    }));
    CHECK(told.starts_with("error: "));
    CHECK(state.use_count() == 1);  // The source is destroyed with it.
}

TEST_CASE("keys that are about to expire when fetched do not cost a fetch for each request",
          "[s3][credentials][cache]") {
    // As with a clock that is wrong by most of their lifetime.
    manual_cache m;
    m.state->make = [&m](int number) -> result<credentials> { return temporary(number, m.in(100)); };
    for (int i = 0; i < 20; ++i) CHECK(m.get() == "K0");
    CHECK(m.cache.fetches() == 1);
    m.now += 5;
    CHECK(m.get() == "K0");
    CHECK(m.cache.fetches() == 2);
    CHECK(eventually([&] { return m.get() == "K1"; }));
    CHECK(m.cache.fetches() == 2);
    m.now -= 60;  // Set back: the age of the last fetch is unknown now.
    CHECK(m.get() == "K1");
    CHECK(m.cache.fetches() == 3);
}

TEST_CASE("rejected keys are replaced by those fetched meanwhile, or by one fetch", "[s3][credentials][cache]") {
    manual_cache m;
    const auto old = run(m.cache.get(soon()));
    const auto current = run(m.cache.renew(*old, soon()));
    CHECK(key_of(current) == "K1");
    CHECK(key_of(run(m.cache.renew(*old, soon()))) == "K1");
    CHECK(m.cache.fetches() == 2);
    // A service that rejects all keys does not cost a fetch for each request.
    for (int i = 0; i < 3; ++i) CHECK(kind(run(m.cache.renew(*current, soon()))) == error_kind::expired_token);
    CHECK(m.cache.fetches() == 2);
    m.now += 5;
    CHECK(key_of(run(m.cache.renew(*current, soon()))) == "K2");
    CHECK(m.cache.fetches() == 3);
}

TEST_CASE("a source that has only the rejected keys is not fetched again at once", "[s3][credentials][cache]") {
    manual_cache m;
    m.state->make = [&m](int) -> result<credentials> { return temporary(0, m.in(3600)); };
    const auto current = run(m.cache.get(soon()));
    for (int i = 0; i < 3; ++i) CHECK(kind(run(m.cache.renew(*current, soon()))) == error_kind::expired_token);
    CHECK(m.cache.fetches() == 2);
}

TEST_CASE("keys that have expired when fetched are an error that names the clock", "[s3][credentials][cache]") {
    manual_cache m;
    m.state->make = [&m](int number) -> result<credentials> { return temporary(number, m.in(-90)); };
    auto got = run(m.cache.get(soon()));
    CHECK(kind(got) == error_kind::expired_token);
    CHECK(key_of(got).find("manual returned credentials that expired 90 s ago, by the clock of this host, which may be "
                           "wrong (NTP)") != std::string::npos);
    for (int i = 0; i < 10; ++i) CHECK(kind(run(m.cache.get(soon()))) == error_kind::expired_token);
    CHECK(m.cache.fetches() == 1);

    manual_cache own;
    own.state->make = [&own](int number) -> result<credentials> {
        auto keys = temporary(number, own.in(3500));
        keys.clock_offset = hours(1);
        return keys;
    };
    CHECK(own.get().find("expired 100 s ago, by the clock of their source") != std::string::npos);
}

TEST_CASE("the expiry of keys is by the clock of their source", "[s3][credentials][cache]") {
    const auto real = sys_seconds(sys_days{year{2026} / 3 / 1});
    const auto expires = format_iso(real + hours(1));
    const auto dated = [real](stub_reply reply) {
        reply.headers.emplace_back("Date", format_http_date(real));
        return reply;
    };
    stub_service service([&](const seen_request& r, std::size_t) {
        if (r.method == "POST") return dated({.body = sts_keys("STS", expires)});
        if (r.target == "/container") return dated({.body = json_keys("CONTAINER", expires)});
        auto reply = metadata(r);
        if (r.target.ends_with("/keep-role")) reply.body = json_keys("IMDS", expires);
        return dated(std::move(reply));
    });
    const temp_dir dir;
    write(dir.path() / "token", "t");
    const std::pair<const char*, variables> rows[] = {
        {"STS",
         {{"AWS_WEB_IDENTITY_TOKEN_FILE", (dir.path() / "token").string()},
          {"AWS_ROLE_ARN", "r"},
          {"AWS_ENDPOINT_URL_STS", service.url()}}},
        {"CONTAINER", {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url() + "/container"}}},
        {"IMDS", {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url()}}},
    };
    for (const auto& [name, env] : rows) {
        // A clock that is two hours fast, and one that is slow.
        for (const auto wrong : {hours(2), hours(-2)}) {
            CAPTURE(name, wrong.count());
            std::atomic<std::int64_t> now{(real + wrong).time_since_epoch().count()};
            const auto keys = chain(env, {.now = [&now] { return sys_time<milliseconds>(seconds(now.load())); }});
            CHECK(key_of(fetch(keys)) == name);
            now += 3600 - 301;
            CHECK(key_of(fetch(keys)) == name);
            CHECK(keys->fetches() == 1);
            now += 2;
            CHECK(key_of(fetch(keys)) == name);
            CHECK(keys->fetches() == 2);
        }
    }
}

TEST_CASE("a role is assumed by a host whose clock is wrong", "[s3][credentials]") {
    const auto real = floor<seconds>(system_clock::now());
    stub_service sts([&](const seen_request& r, std::size_t) {
        const bool good = r.header("x-amz-date").starts_with(format_signing_time(real));
        stub_reply reply{.status = good ? 200U : 403U,
                         .body = good ? sts_keys("ROLE")
                                      : "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code>"
                                        "</Error></ErrorResponse>"};
        reply.headers.emplace_back("Date", format_http_date(real));
        return reply;
    });
    const temp_dir dir;
    write(dir.path() / "config", "[default]\nrole_arn = r\naws_access_key_id = BASE\naws_secret_access_key = S\n");
    const variables env{{"AWS_CONFIG_FILE", (dir.path() / "config").string()}, {"AWS_ENDPOINT_URL_STS", sts.url()}};
    CHECK(key_of(fetch(chain(env, {.now = [real] { return real + hours(1); }}))) == "ROLE");
    CHECK(sts.count() == 2);
    // With a correct clock a denial is not retried.
    CHECK(key_of(fetch(chain(env, {.now = [real] { return real + minutes(3); }}))).find("SignatureDoesNotMatch") !=
          std::string::npos);
    CHECK(sts.count() == 3);
}
