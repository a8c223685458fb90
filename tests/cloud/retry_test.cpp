#include "cloud/retry.hpp"
#include "cloud/limits.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::cloud;
using namespace std::chrono;

namespace {

using clock_type = retry_session::clock;

retry_options with_random(double value) {
    retry_options out;
    out.random = [value] { return value; };
    return out;
}

const auto start = clock_type::now();

}  // namespace

TEST_CASE("waits are random between zero and a growing limit, which is capped", "[cloud][retry]") {
    auto options = with_random(0.5);
    options.attempts_max = 20;
    retry_policy policy(options);
    retry_session session(policy, deadline::never());
    milliseconds limit = options.transient_base;
    for (int i = 0; i < 10; ++i) {
        const auto wait = session.next_wait(error_kind::network, start);
        REQUIRE(wait.has_value());
        CHECK(duration_cast<microseconds>(*wait) == duration_cast<microseconds>(std::min(limit, options.wait_max)) / 2);
        limit *= 2;
    }

    retry_policy none(with_random(0.0));
    retry_session at_once(none, deadline::never());
    CHECK(at_once.next_wait(error_kind::network, start) == clock_type::duration(0));
}

TEST_CASE("a throttled request waits longer, and honours Retry-After up to a limit", "[cloud][retry]") {
    retry_policy policy(with_random(0.999));
    retry_session transient(policy, deadline::never());
    retry_session throttled(policy, deadline::never());
    CHECK(*throttled.next_wait(error_kind::slow_down, start) > *transient.next_wait(error_kind::server, start));
    retry_session asked(policy, deadline::never());
    CHECK(*asked.next_wait(error_kind::slow_down, start, seconds(1)) == seconds(1));
    CHECK(*asked.next_wait(error_kind::slow_down, start, hours(1)) == policy.options().wait_max);
}

TEST_CASE("attempts are counted, and permanent failures are not retried", "[cloud][retry]") {
    retry_policy policy(with_random(0.1));
    retry_session session(policy, deadline::never());
    for (unsigned i = 1; i < policy.options().attempts_max; ++i) {
        CHECK(session.next_wait(error_kind::server, start).has_value());
    }
    CHECK_FALSE(session.next_wait(error_kind::server, start).has_value());
    CHECK(session.failures() == policy.options().attempts_max);

    const auto tokens = policy.tokens();
    for (const auto kind : {error_kind::not_found, error_kind::access_denied, error_kind::bad_certificate}) {
        retry_session other(policy, deadline::never());
        CHECK_FALSE(other.next_wait(kind, start).has_value());
    }
    CHECK(policy.tokens() == tokens);
}

TEST_CASE("no retry begins after the deadline", "[cloud][retry]") {
    retry_policy policy(with_random(0.5));
    const auto base = policy.options().transient_base;
    retry_session tight(policy, deadline(start + base / 2));
    CHECK_FALSE(tight.next_wait(error_kind::network, start).has_value());
    CHECK(policy.tokens() == limits::cloud_retry_tokens_max);
    retry_session enough(policy, deadline(start + base));
    CHECK(enough.next_wait(error_kind::network, start).has_value());
}

TEST_CASE("an outage spends the shared retry budget, and successes refill it", "[cloud][retry]") {
    retry_policy policy(with_random(0.0));
    int retries = 0;
    for (int i = 0; i < 1000; ++i) {
        retry_session session(policy, deadline::never());
        while (session.next_wait(error_kind::network, start)) ++retries;
    }
    CHECK(retries == limits::cloud_retry_tokens_max / limits::cloud_retry_cost_transient);
    CHECK(policy.tokens() < limits::cloud_retry_cost_transient);

    for (int i = 0; i < limits::cloud_retry_cost_transient; ++i) {
        retry_session session(policy, deadline::never());
        session.succeeded();
    }
    retry_session session(policy, deadline::never());
    const auto before = policy.tokens();
    CHECK(session.next_wait(error_kind::network, start).has_value());
    session.succeeded();
    CHECK(policy.tokens() == before);  // The success gave back the cost of the retry.
    for (int i = 0; i < 2000; ++i) {
        retry_session many(policy, deadline::never());
        many.succeeded();
    }
    CHECK(policy.tokens() == limits::cloud_retry_tokens_max);
}
