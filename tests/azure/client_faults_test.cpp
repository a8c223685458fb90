/// Failures of the service, of the network and of what stands in between.
#include "cloud/limits.hpp"
#include "tests/azure/container_fixture.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

std::string http_date(seconds from_now) {
    return cloud::format_http_date(floor<seconds>(system_clock::now()) + from_now);
}

}  // namespace

TEST_CASE("throttling and passing failures are retried", "[azure][client][retry]") {
    const stub_service service([](const seen_request&, std::size_t number) {
        if (number == 0) return azure_error(503, "ServerBusy");
        if (number == 1) return azure_error(500, "OperationTimedOut");
        if (number == 2) return azure_error(500, "InternalError");
        if (number == 3) return stub_reply{.hang_up = true};
        return changed_reply();
    });
    const auto container = make_container(service);
    CHECK(run(container.put("k", text_body("hello"), {}, soon())).has_value());
    CHECK(service.count() == 5);
    for (const auto& sent : service.seen()) CHECK(sent.body == "hello");
    CHECK(container.stats().retries.value() == 4);
    CHECK(container.stats().throttled.value() == 2);
    CHECK(container.stats().errors().at("storage.AzureStorageServiceError 503 (ServerBusy)") == 1);
    CHECK(container.stats().errors().at("*url.Error") == 1);
}

TEST_CASE("what would fail again is not retried, and keeps code and request id", "[azure][client][retry]") {
    const std::pair<std::string, unsigned> codes[] = {{"ConditionNotMet", 412},      {"BlobAlreadyExists", 409},
                                                      {"AuthorizationFailure", 403}, {"ContainerNotFound", 404},
                                                      {"InvalidHeaderValue", 400},   {"LeaseIdMissing", 412}};
    for (const auto& [code, status] : codes) {
        CAPTURE(code);
        const stub_service service([&](const seen_request&, std::size_t) { return azure_error(status, code); });
        const auto failed = run(make_container(service).put("k", text_body("x"), {}, soon()));
        REQUIRE_FALSE(failed.has_value());
        CHECK(kind(failed) == classify(status, code));
        CHECK(failed.error().text.starts_with("Azure create: " + std::to_string(status) + " " + code +
                                              " (request rq2): "));
        CHECK(service.count() == 1);
    }
}

TEST_CASE("a throttled listing waits and tries as often as configured", "[azure][client][retry]") {
    const stub_service service([](const seen_request&, std::size_t) { return azure_error(503, "ServerBusy"); });
    auto options = stub_options(service);
    options.list_attempts_max = 8;
    const auto container = make_container(std::move(options));
    CHECK(kind(run(container.list({}, soon()))) == error_kind::slow_down);
    CHECK(service.count() == 8);
    CHECK(kind(run(container.head("k", soon()))) == error_kind::slow_down);
    CHECK(service.count() == 8 + 5);
}

TEST_CASE("a missing blob is told from a missing container", "[azure][client][missing]") {
    const auto outcome = [](const stub_service::handler_type& handler) {
        const stub_service service(handler);
        return to_string(kind(run(make_container(service).head("k", soon()))));
    };
    const auto bare = [](unsigned status) {
        return stub_reply{.status = status, .headers = {{"x-ms-request-id", "r"}}};
    };
    const auto of_container = [](const seen_request& r) { return r.target.contains("restype=container"); };
    CHECK(outcome([](const seen_request&, std::size_t) { return azure_error(404, "BlobNotFound"); }) == "not_found");
    CHECK(outcome([](const seen_request&, std::size_t) { return azure_error(404, "ContainerNotFound"); }) ==
          "no_such_bucket");
    // Without a code the container is looked at.
    CHECK(outcome([&](const seen_request& r, std::size_t) {
              return of_container(r) ? changed_reply(200) : bare(404);
          }) == "not_found");
    CHECK(outcome([&](const seen_request&, std::size_t) { return bare(404); }) == "no_such_bucket");
    // A signature for blobs only.
    CHECK(outcome([&](const seen_request& r, std::size_t) { return bare(of_container(r) ? 403 : 404); }) ==
          "not_found");
}

TEST_CASE("a container that was just seen is not looked at for a missing blob", "[azure][client][missing]") {
    const stub_service service([](const seen_request&, std::size_t number) {
        return number == 0 ? blob_reply("x") : stub_reply{.status = 404, .headers = {{"x-ms-request-id", "r"}}};
    });
    const auto container = make_container(service);
    REQUIRE(run(container.head("k", soon())).has_value());
    CHECK(kind(run(container.head("k", soon()))) == error_kind::not_found);
    CHECK(service.count() == 2);
}

TEST_CASE("deleting a missing blob is a success without a condition only", "[azure][client][missing]") {
    const stub_service service([](const seen_request&, std::size_t) { return azure_error(404, "BlobNotFound"); });
    const auto container = make_container(service);
    CHECK(run(container.del("k", {}, soon())).has_value());
    CHECK(kind(run(container.del("k", {.if_match = "0x1"}, soon()))) == error_kind::not_found);
}

TEST_CASE("a success that is not Azure's, or lacks its fields, is none", "[azure][client][malformed]") {
    const auto outcome = [](const stub_reply& reply) {
        const stub_service service([&](const seen_request&, std::size_t) { return reply; });
        auto options = stub_options(service);
        options.retry.attempts_max = 1;
        return kind(run(make_container(std::move(options)).put("k", text_body("x"), {}, soon())));
    };
    const stub_reply login{.body = "<html>Welcome</html>",
                           .headers = {{"ETag", "\"1\""}, {"Last-Modified", stub_modified}}};
    CHECK(outcome(login) == error_kind::malformed_response);
    CHECK(outcome({.status = 201, .headers = {{"x-ms-request-id", "r"}, {"ETag", "\"1\""}}}) ==
          error_kind::malformed_response);
    CHECK(outcome({.status = 201, .headers = {{"x-ms-request-id", "r"}, {"Last-Modified", stub_modified}}}) ==
          error_kind::malformed_response);
    CHECK(outcome({.status = 302, .headers = {{"Location", "https://login.example/"}}}) ==
          error_kind::malformed_response);
    CHECK(outcome({.status = 403, .body = "<html>Blocked</html>"}) == error_kind::malformed_response);
    CHECK(outcome({.status = 503, .body = "no backend"}) == error_kind::server);
    CHECK(outcome(changed_reply()) == error_kind{});
}

TEST_CASE("deletes need Azure's confirmation, too", "[azure][client][malformed]") {
    const stub_service service([](const seen_request&, std::size_t) { return stub_reply{.body = "ok"}; });
    auto options = stub_options(service);
    options.retry.attempts_max = 1;
    CHECK(kind(run(make_container(std::move(options)).del("k", {}, soon()))) == error_kind::malformed_response);
}

TEST_CASE("a broken download continues, and the reader does not notice", "[azure][client][download]") {
    const std::string content(5000, 'x');
    const stub_service service([&](const seen_request& r, std::size_t number) {
        auto reply = ranged_blob_reply(r, content);
        if (number < 2) reply.cut_after = 1500;
        return reply;
    });
    const auto container = make_container(service);
    CHECK(run(get_text(container, "k")).value() == content);
    REQUIRE(service.count() == 3);
    CHECK(service.seen().at(1).header("range") == "bytes=1500-4999");
    CHECK(service.seen().at(1).header("if-match") == stub_etag);
    CHECK(service.seen().at(2).header("range") == "bytes=3000-4999");
    CHECK(container.stats().resumed_downloads.value() == 2);
}

TEST_CASE("a download goes on when the blob was touched meanwhile, and ends when it was replaced",
          "[azure][client][download]") {
    const std::string content(5000, 'x');
    const std::string new_etag = "\"0xNEW\"";
    const auto read = [&](const std::string& old_md5, const std::string& new_md5) {
        const stub_service service([&](const seen_request& r, std::size_t number) {
            if (r.header("if-match") == stub_etag) return azure_error(412, "ConditionNotMet");
            auto reply = ranged_blob_reply(r, content);
            if (number == 0 || number == 2) reply.cut_after = 1000;
            if (number > 0) reply.headers.front().second = new_etag;
            const auto& md5 = number == 0 ? old_md5 : new_md5;
            const auto* const name = reply.status == 206 ? "x-ms-blob-content-md5" : "Content-MD5";
            if (!md5.empty()) reply.headers.emplace_back(name, md5);
            return reply;
        });
        const auto got = run(get_text(make_container(service), "k"));
        // After the touch the new ETag is the condition.
        if (got) {
            REQUIRE(service.count() == 4);
            CHECK(service.seen().at(2).header("if-match").empty());
            CHECK(service.seen().at(3).header("if-match") == new_etag);
        }
        return got ? (*got == content ? "whole" : "wrong") : std::string(to_string(kind(got)));
    };
    const std::string one = "1B2M2Y8AsgTpgAmY7PhCfg==";
    const std::string other = "XUFAKrxLKna5cZ2REBfFkg==";
    CHECK(read(one, one) == "whole");
    CHECK(read(one, other) == "precondition");
    CHECK(read(one, "") == "precondition");
    CHECK(read("", one) == "precondition");
}

TEST_CASE("a token is renewed once when it is refused", "[azure][client][token]") {
    const stub_service service([](const seen_request& r, std::size_t) {
        return r.header("authorization") == "Bearer T1" ? blob_reply("x")
                                                        : azure_error(401, "InvalidAuthenticationInfo");
    });
    const auto container = make_container(stub_options(service), counting_tokens());
    CHECK(run(container.head("k", soon())).has_value());
    CHECK(run(container.head("k", soon())).has_value());
    CHECK(service.count() == 3);

    const stub_service refusing([](const seen_request&, std::size_t) { return stub_reply{.status = 401}; });
    // So late each time that the cache would fetch another one.
    const auto hour = std::make_shared<std::atomic<int>>(0);
    const authorization tokens = std::make_shared<cloud::credentials_cache>(
        std::make_unique<counting_source>(), [hour] { return sys_time<milliseconds>(hours(++*hour)); });
    CHECK_FALSE(run(make_container(stub_options(refusing), tokens).head("k", soon())).has_value());
    CHECK(refusing.count() == 2);
}

TEST_CASE("a wrong clock is corrected by the service's", "[azure][client][clock]") {
    const auto ahead = hours(2);
    const stub_service service([&](const seen_request& r, std::size_t) {
        const auto at = cloud::parse_http_date(r.header("x-ms-date"));
        const bool fresh = at && abs(*at - floor<seconds>(system_clock::now() + ahead)) < minutes(15);
        auto reply = fresh ? blob_reply("x") : azure_error(403, "AuthenticationFailed");
        reply.headers.emplace_back("Date", http_date(ahead));
        return reply;
    });
    const auto container = make_container(service);
    CHECK(run(container.head("k", soon())).has_value());
    CHECK(service.count() == 2);
    CHECK(abs(container.clock_skew() - ahead) < minutes(1));
    CHECK(run(container.head("k", soon())).has_value());
    CHECK(service.count() == 3);
}

TEST_CASE("servers whose clocks differ are the reason when no correction helps", "[azure][client][clock]") {
    const stub_service service([](const seen_request&, std::size_t number) {
        auto reply = azure_error(403, "AuthenticationFailed");
        reply.headers.emplace_back("Date", http_date(hours(number + 1)));
        return reply;
    });
    CHECK(kind(run(make_container(service).head("k", soon()))) == error_kind::clock_skew);
    CHECK(service.count() == 1 + limits::cloud_corrections_max);
}

TEST_CASE("a wrong key is not taken for a wrong clock when the clock is corrected", "[azure][client][clock]") {
    const stub_service service([&](const seen_request&, std::size_t) {
        auto reply = azure_error(403, "AuthenticationFailed");
        reply.headers.emplace_back("Date", http_date(hours(2)));
        return reply;
    });
    const auto container = make_container(service);
    CHECK(kind(run(container.head("k", soon()))) == error_kind::bad_credentials);
    CHECK(service.count() == 2);
}

TEST_CASE("a call ends with its deadline and does not wait beyond it", "[azure][client][deadline]") {
    const stub_service service([](const seen_request&, std::size_t) { return azure_error(503, "ServerBusy"); });
    auto options = stub_options(service);
    options.retry.random = [] { return 0.99; };
    options.list_retry_delay = minutes(5);
    const auto container = make_container(std::move(options));
    const auto began = steady_clock::now();
    CHECK(kind(run(container.list({}, deadline::in(seconds(20))))) == error_kind::slow_down);
    CHECK(steady_clock::now() - began < seconds(15));
    CHECK(service.count() == 1);
}
