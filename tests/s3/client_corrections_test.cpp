/// What the client learns from errors: region, clock, expired keys, missing buckets, servers that are not S3.
#include "s3/limits.hpp"
#include "tests/s3/bucket_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

std::string http_date(milliseconds from_now) {
    return format_http_date(floor<seconds>(system_clock::now() + from_now));
}

}  // namespace

TEST_CASE("the region is learned from header or body and remembered", "[s3][client][region]") {
    const std::pair<const char*, stub_reply> rows[] = {
        {"body", error_reply(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>")},
        {"header", {.status = 301, .headers = {{"x-amz-bucket-region", "eu-west-1"}}}},
        {"redirect body", error_reply(301, "PermanentRedirect", "<Region>eu-west-1</Region>")},
        {"bare 400", {.status = 400, .headers = {{"x-amz-bucket-region", "eu-west-1"}}}},
        {"bare 403", {.status = 403, .headers = {{"x-amz-bucket-region", "eu-west-1"}}}},
    };
    for (const auto& [name, wrong] : rows) {
        CAPTURE(name);
        stub_service service([&](const seen_request& r, std::size_t) {
            return r.header("authorization").find("/eu-west-1/s3/") == std::string::npos ? wrong
                                                                                         : object_reply("content");
        });
        const auto bucket = make_bucket(service);
        CHECK(run(get_text(bucket, "k")) == std::string("content"));
        CHECK(service.count() == 2);
        CHECK(run(bucket.head("k", soon())).has_value());
        CHECK(service.count() == 3);
        CHECK(bucket.region() == "eu-west-1");
        CHECK(bucket.stats().retries.value() == 0);
    }
}

TEST_CASE("regions that contradict each other, or are invalid, end in an error with advice", "[s3][client][region]") {
    stub_service service([](const seen_request& r, std::size_t) {
        const bool east = r.header("authorization").find("/us-east-1/s3/") != std::string::npos;
        return error_reply(301, "PermanentRedirect",
                           east ? "<Region>eu-west-1</Region>" : "<Region>us-east-1</Region>");
    });
    const auto bucket = make_bucket(service);
    const auto got = run(get_text(bucket, "k"));
    REQUIRE_FALSE(got.has_value());
    CHECK(kind(got) == error_kind::wrong_region);
    CHECK(got.error().text.find("set Region") != std::string::npos);
    CHECK(service.count() == limits::cloud_corrections_max + 1);

    stub_service mute([](const seen_request&, std::size_t) {
        return stub_reply{.status = 301, .headers = {{"x-amz-request-id", "tx1"}}};
    });
    const auto other = make_bucket(mute);
    CHECK(kind(run(get_text(other, "k"))) == error_kind::wrong_region);
    CHECK(mute.count() == 1);
    // A malformed region does not become part of a host name.
    stub_service evil([](const seen_request&, std::size_t) {
        return error_reply(301, "PermanentRedirect", "<Region>evil.example/</Region>");
    });
    const auto third = make_bucket(evil);
    CHECK(kind(run(get_text(third, "k"))) == error_kind::wrong_region);
    CHECK(evil.count() == 1);
}

TEST_CASE("with a wrong clock requests are signed with the service's time, until the clock is right",
          "[s3][client][clock]") {
    // The service's clock is right; ours is an hour slow at first.
    std::atomic<int> slow_by{3600};
    stub_service service([](const seen_request& r, std::size_t) {
        const auto date = r.header("x-amz-date");
        const auto iso = date.substr(0, 4) + "-" + date.substr(4, 2) + "-" + date.substr(6, 5) + ":" +
                         date.substr(11, 2) + ":" + date.substr(13);
        const auto signed_at = parse_iso_date(iso);
        const auto off = signed_at ? abs(floor<seconds>(system_clock::now()) - *signed_at) : hours(24);
        auto reply = off > minutes(15) ? error_reply(403, "RequestTimeTooSkewed") : object_reply("content");
        reply.headers.emplace_back("Date", http_date(milliseconds(0)));
        return reply;
    });
    auto options = stub_options(service);
    options.now = [&] { return floor<milliseconds>(system_clock::now()) - seconds(slow_by.load()); };
    const auto bucket = make_bucket(options);
    CHECK(run(bucket.head("k", soon())).has_value());  // A HEAD, whose response has no reason.
    CHECK(service.count() == 2);
    CHECK(abs(bucket.clock_skew() - seconds(3600)) <= seconds(2));
    CHECK(run(get_text(bucket, "k")).has_value());
    CHECK(service.count() == 3);

    slow_by = 0;
    CHECK(run(get_text(bucket, "k")).has_value());
    CHECK(service.count() == 5);
    CHECK(bucket.clock_skew() == seconds(0));
}

TEST_CASE("a response from a cache, or without a date, does not correct the clock", "[s3][client][clock]") {
    for (const bool dated : {true, false}) {
        stub_service service([&](const seen_request&, std::size_t) {
            auto reply = error_reply(403, "RequestTimeTooSkewed");
            if (dated) reply.headers = {{"Date", http_date(hours(2))}, {"Age", "7200"}};
            return reply;
        });
        const auto bucket = make_bucket(service);
        const auto got = run(get_text(bucket, "k"));
        CHECK(kind(got) == error_kind::clock_skew);
        CHECK(service.count() == 1);
        CHECK(got.error().text.find("NTP") != std::string::npos);
    }
}

TEST_CASE("expired keys are renewed once and the request is retried", "[s3][client][credentials]") {
    const std::pair<const char*, stub_reply> rows[] = {
        {"400", error_reply(400, "ExpiredToken")},
        {"InvalidToken", error_reply(400, "InvalidToken")},
        {"403", error_reply(403, "ExpiredToken")},
        {"rotated", error_reply(403, "InvalidAccessKeyId")},
        {"bare 400", {.status = 400}},
    };
    for (const auto& [name, refused] : rows) {
        CAPTURE(name);
        const auto fetched = std::make_shared<std::atomic<int>>(0);
        stub_service service([&](const seen_request& r, std::size_t) {
            return r.header("authorization").find("Credential=K1/") == std::string::npos ? refused
                                                                                         : object_reply("content");
        });
        const auto keys = std::make_shared<credentials_cache>(std::make_unique<counting_source>(fetched));
        const auto bucket = make_bucket(stub_options(service), keys);
        CHECK(run(bucket.head("k", soon())).has_value());
        CHECK(service.count() == 2);
        CHECK(service.seen().at(1).header("x-amz-security-token") == "token1");
        CHECK(*fetched == 2);
    }
}

TEST_CASE("keys that are refused again after a renewal are not renewed again", "[s3][client][credentials]") {
    stub_service service([](const seen_request&, std::size_t) { return error_reply(400, "ExpiredToken"); });
    const auto fetched = std::make_shared<std::atomic<int>>(0);
    const auto keys = std::make_shared<credentials_cache>(std::make_unique<counting_source>(fetched));
    const auto bucket = make_bucket(stub_options(service), keys);
    const auto got = run(get_text(bucket, "k"));
    CHECK(kind(got) == error_kind::expired_token);
    CHECK(service.count() == 2);
    CHECK(*fetched == 2);

    const auto fixed = make_bucket(service);
    CHECK(kind(run(get_text(fixed, "k"))) == error_kind::expired_token);
    CHECK(service.count() == 3);
}

TEST_CASE("a HEAD that is refused without a body finds the reason by a listing, and learns from it", "[s3][client]") {
    // Like a service without the region in a header.
    stub_service moved([](const seen_request& r, std::size_t) {
        if (r.header("authorization").find("/eu-west-1/") != std::string::npos) return object_reply("content");
        return error_reply(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>");
    });
    const auto bucket = make_bucket(moved);
    CHECK(run(bucket.head("k", soon())).has_value());
    CHECK(moved.count() == 4);
    CHECK(run(bucket.head("k", soon())).has_value());
    CHECK(moved.count() == 5);

    stub_service wrong([](const seen_request&, std::size_t) { return error_reply(403, "SignatureDoesNotMatch"); });
    const auto refused = make_bucket(wrong);
    CHECK(kind(run(refused.head("k", soon()))) == error_kind::bad_credentials);
    CHECK(wrong.count() == 2);

    // Denied for this object alone.
    stub_service closed([](const seen_request& r, std::size_t) {
        return r.path() == "/keep" ? stub_reply{} : stub_reply{.status = 403};
    });
    const auto denied = make_bucket(closed);
    CHECK(kind(run(denied.head("k", soon()))) == error_kind::access_denied);
    CHECK(closed.count() == 3);
}

TEST_CASE("a 404 without a body means a missing object only if the bucket exists", "[s3][client]") {
    std::atomic<int> bucket_status{404};
    std::atomic<int> bucket_asked{0};
    std::atomic<bool> signs{true};
    stub_service service([&](const seen_request& r, std::size_t) {
        if (r.target != "/keep" && signs) return stub_reply{.status = 404, .headers = {{"x-amz-request-id", "tx1"}}};
        if (r.target != "/keep") return stub_reply{.status = 404};
        ++bucket_asked;
        return stub_reply{.status = static_cast<unsigned>(bucket_status.load())};
    });
    const auto bucket = make_bucket(service);
    auto got = run(bucket.head("k", soon()));
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error() == errc::unavailable);
    CHECK(kind(got) == error_kind::no_such_bucket);
    CHECK(kind(run(get_text(bucket, "k"))) == error_kind::no_such_bucket);
    CHECK(kind(run(bucket.del("k", soon()))) == error_kind::no_such_bucket);

    bucket_status = 200;
    bucket_asked = 0;
    for (int i = 0; i < 3; ++i) {
        got = run(bucket.head("k", soon()));
        REQUIRE_FALSE(got.has_value());
        CHECK(got.error() == errc::not_found);
    }
    CHECK(bucket_asked == 1);  // The bucket is known to exist.
    signs = false;             // Without S3 headers the bucket is checked again, which shows the proxy.
    CHECK(run(bucket.head("k", soon())).error() == errc::not_found);
    CHECK(bucket_asked == 2);
    bucket_status = 404;
    CHECK(kind(run(bucket.head("k", soon()))) == error_kind::no_such_bucket);
    CHECK(bucket.stats().errors().at("*smithy.OperationError 404 NotFound") >= 3);
}

TEST_CASE("a 404 with a page that is not S3's is a malformed response", "[s3][client]") {
    std::atomic<int> asked{0};
    stub_service service([&](const seen_request& r, std::size_t) {
        if (r.method != "HEAD") ++asked;
        return stub_reply{.status = 404, .body = "<html>404 Not Found</html>"};
    });
    const auto bucket = make_bucket(service);
    const auto got = run(get_text(bucket, "k"));
    REQUIRE_FALSE(got.has_value());
    CHECK(kind(got) == error_kind::malformed_response);
    CHECK(got.error() == errc::unavailable);
    CHECK(asked > 1);  // A retry may reach S3.
    CHECK(kind(run(bucket.del("k", soon()))) == error_kind::malformed_response);
}

TEST_CASE("a response that is not S3's is reported as such, not as a policy, a region or throttling", "[s3][client]") {
    const std::string page = "<html><body>whatever</body></html>";
    struct row {
        const char* what;
        stub_reply reply;
        error_kind get, head;
    };
    const row rows[] = {
        {"nothing behind the load balancer", {.status = 503, .body = page}, error_kind::server, error_kind::server},
        {"the same without a page", {.status = 503}, error_kind::server, error_kind::server},
        {"S3 throttles", error_reply(503, "SlowDown"), error_kind::slow_down, error_kind::slow_down},
        {"S3 throttles without a code",
         {.status = 503, .headers = {{"X-Amz-Request-Id", "tx1"}}},
         error_kind::slow_down,
         error_kind::slow_down},
        {"a proxy that wants fewer requests",
         {.status = 429, .body = page},
         error_kind::slow_down,
         error_kind::slow_down},
        {"a login page", {.status = 302, .body = page}, error_kind::malformed_response, error_kind::malformed_response},
        {"a redirect to TLS", {.status = 301}, error_kind::malformed_response, error_kind::malformed_response},
        {"a firewall", {.status = 403, .body = page}, error_kind::malformed_response, error_kind::malformed_response},
        {"a proxy's own login",
         {.status = 401, .body = page},
         error_kind::malformed_response,
         error_kind::malformed_response},
        {"S3 denies", error_reply(403, "AccessDenied"), error_kind::access_denied, error_kind::access_denied},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        stub_service service([&](const seen_request&, std::size_t) { return row.reply; });
        auto options = stub_options(service);
        options.retry.attempts_max = 2;
        const auto bucket = make_bucket(options);
        const auto got = run(get_text(bucket, "k"));
        CHECK(kind(got) == row.get);
        CHECK(kind(run(bucket.head("k", soon()))) == row.head);
        REQUIRE_FALSE(got.has_value());
        if (row.get != error_kind::malformed_response) continue;
        CHECK(got.error().text.find("without an S3 error code") != std::string::npos);
        CHECK(got.error().text.find("policy") == std::string::npos);
        CHECK(got.error().text.find("Region") == std::string::npos);
    }
}
