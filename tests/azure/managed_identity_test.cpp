/// Tokens of a managed identity, from a stub of the instance metadata service.
#include "azure/credentials/managed_identity.hpp"
#include "azure/error.hpp"
#include "tests/azure/container_fixture.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstdint>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

std::string token_json(const std::string& token, std::int64_t expires_on) {
    return R"({"access_token":")" + token + R"(","expires_in":"3599","expires_on":")" + std::to_string(expires_on) +
           R"(","resource":"https://storage.azure.com/","token_type":"Bearer"})";
}

identity_options options_for(const stub_service& service) {
    identity_options out;
    out.endpoint = service.url();
    return out;
}

std::string token_of(const result<cloud::credentials>& got) {
    return got ? got->keys.session_token.reveal() : "error: " + got.error().text;
}

std::string fetch(const identity_options& options) {
    const auto cache = *make_managed_identity(options);
    return token_of(run(cache->get(soon())));
}

result<cloud::credentials> parsed(const std::string& body) {
    return parse_access_token(body, {.source = "test", .now = sys_seconds(seconds(1000)), .clock_offset = seconds(60)});
}

}  // namespace

TEST_CASE("a token is asked for as the metadata service wants it", "[azure][credentials][identity]") {
    const stub_service service(
        [](const seen_request&, std::size_t) { return stub_reply{.body = token_json("T0", 4'000'000'000)}; });
    auto options = options_for(service);
    CHECK(fetch(options) == "T0");
    options.client_id = "0000-11";
    CHECK(fetch(options) == "T0");
    REQUIRE(service.count() == 2);
    CHECK(service.seen().at(0).target ==
          "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F");
    CHECK(service.seen().at(0).header("metadata") == "true");
    CHECK(service.seen().at(1).target.contains("client_id=0000-11"));
}

TEST_CASE("a token is renewed five minutes early, and the old one serves meanwhile", "[azure][credentials][identity]") {
    std::atomic<std::int64_t> now{1'000'000};
    const stub_service service([&](const seen_request&, std::size_t number) {
        // The second one fails, and is then asked for again.
        if (number == 1) return stub_reply{.status = 400, .body = "{}"};
        return stub_reply{.body = token_json("T" + std::to_string(number), now + 3600)};
    });
    auto options = options_for(service);
    options.now = [&] { return sys_time<milliseconds>(seconds(now.load())); };
    const auto cache = *make_managed_identity(options);
    const auto get = [&] { return token_of(run(cache->get(soon()))); };
    CHECK(get() == "T0");
    now += 3600 - 301;
    CHECK(get() == "T0");
    CHECK(service.count() == 1);
    now += 2;
    CHECK(get() == "T0");
    const auto until = steady_clock::now() + seconds(40);
    while (service.count() < 2 && steady_clock::now() < until) std::this_thread::yield();
    CHECK(service.count() == 2);
    CHECK(get() == "T0");
}

TEST_CASE("a metadata service that fails for a moment is asked again", "[azure][credentials][identity]") {
    const stub_service service([](const seen_request&, std::size_t number) {
        if (number == 0) return stub_reply{.status = 500};
        if (number == 1) return stub_reply{.status = 429};
        return stub_reply{.body = token_json("T", 4'000'000'000)};
    });
    CHECK(fetch(options_for(service)) == "T");
}

TEST_CASE("a machine without an identity is told so, with the service's reason", "[azure][credentials][identity]") {
    const stub_service service([](const seen_request&, std::size_t) {
        return stub_reply{.status = 400,
                          .body = R"({"error":"invalid_request","error_description":"Identity not found\n"})"};
    });
    const auto text = fetch(options_for(service));
    CHECK(text.contains("status 400, Identity not found"));
    CHECK(text.contains("assign a managed identity"));
    CHECK_FALSE(text.contains('\n'));
}

TEST_CASE("without a metadata service the configuration is suggested", "[azure][credentials][identity]") {
    std::string url;
    {
        const stub_service gone([](const seen_request&, std::size_t) { return stub_reply{}; });
        url = gone.url();
    }
    identity_options options;
    options.endpoint = url;
    const auto text = fetch(options);
    CHECK(text.contains("does not respond"));
    CHECK(text.contains("StorageAccountKey"));
}

TEST_CASE("expiry comes as text or number, as a time or a duration", "[azure][credentials][identity]") {
    CHECK(parsed(R"({"access_token":"t","expires_on":"2000"})")->expires_at == sys_seconds(seconds(2000)));
    CHECK(parsed(R"({"access_token":"t","expires_on":2000})")->expires_at == sys_seconds(seconds(2000)));
    // By the service's clock, which is a minute ahead.
    CHECK(parsed(R"({"access_token":"t","expires_in":"100"})")->expires_at == sys_seconds(seconds(1160)));
}

TEST_CASE("a response without a usable token is an error without its content", "[azure][credentials][identity]") {
    for (const std::string body :
         {"", "<html>S3cret", "[]", "{}", R"({"access_token":"S3cret"})",
          R"({"access_token":"S3cret","expires_on":"soon"})", R"({"access_token":"S3cret","expires_on":-1})",
          R"({"access_token":"S3cret","expires_in":9223372036854775807})",
          R"({"access_token":"S3cret\nx","expires_on":2000})", R"({"access_token":"S3cret x","expires_on":2000})",
          R"({"access_token":"","expires_on":2000})", R"({"access_token":7,"expires_on":2000})"}) {
        CAPTURE(body);
        const auto got = parsed(body);
        REQUIRE_FALSE(got.has_value());
        CHECK(kind(got) == error_kind::malformed_response);
        CHECK_FALSE(got.error().text.contains("S3cret"));
    }
}
