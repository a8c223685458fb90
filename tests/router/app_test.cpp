// The layers of docs/interface.md 2.1 around the routes.
#include "router/app.hpp"

#include "tests/router/app_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>
#include <regex>

using namespace keepstore;
using namespace keepstore::test;

TEST_CASE("request ids are echoed or made", "[router][app]") {
    app_fixture f;
    fake_exchange own("GET", "/xyz", {{"X-Request-Id", "whatever I like"}});
    f.handle(own);
    CHECK(own.sent_header("X-Request-Id") == "whatever I like");
    fake_exchange none("GET", "/xyz", {{"X-Request-Id", ""}});
    f.handle(none);
    CHECK(std::regex_match(none.sent_header("X-Request-Id"), std::regex("req-[a-z0-9]{20}")));
}

TEST_CASE("the request deadline is set from the configuration", "[router][app][timeout]") {
    app_fixture f;
    fake_exchange ex("GET", "/xyz");
    f.handle(ex);
    CHECK(ex.get_deadline().at() == ex.started_at() + std::chrono::minutes(5));
    auto options = default_app_options();
    options.request_timeout = {};
    app_fixture unlimited(options);
    fake_exchange other("GET", "/xyz");
    unlimited.handle(other);
    CHECK(other.get_deadline().is_never());
}

TEST_CASE("ping responds as in the table of docs/interface.md 2.4", "[router][app][health]") {
    app_fixture f;
    const auto ask = [&](app_fixture& to, const std::string& method, const std::string& target,
                         fake_exchange::headers hs) {
        fake_exchange ex(method, target, std::move(hs));
        to.handle(ex);
        CHECK_FALSE(ex.sent("Access-Control-Allow-Origin"));
        CHECK(ex.sent("X-Request-Id"));
        return std::to_string(ex.status()) + " " + ex.sent_body();
    };
    const std::string ping = "/_health/ping";
    CHECK(ask(f, "GET", ping, as_manager) == "200 {\"health\":\"OK\"}\n");
    CHECK(ask(f, "GET", ping, {}) == "401 authorization required\n");
    CHECK(ask(f, "GET", ping, as_user) == "403 authorization error\n");
    CHECK(ask(f, "GET", ping + "?api_token=" + management_token, {}) == "401 authorization required\n");
    CHECK(ask(f, "GET", ping, {{"Authorization", "OAuth2 " + management_token}}) == "403 authorization error\n");
    CHECK(ask(f, "HEAD", ping, as_manager) == "405 ");
    CHECK(ask(f, "PUT", ping, as_manager) == "405 Method Not Allowed\n");
    CHECK(ask(f, "GET", "*", {}) == "405 Method Not Allowed\n");
    CHECK(ask(f, "OPTIONS", ping, {}) == "200 ");
    f.app.set_draining(true);
    const auto draining = ask(f, "GET", ping, as_manager);
    CHECK(draining == "200 {\"error\":\"service is shutting down\",\"health\":\"ERROR\"}\n");

    auto options = default_app_options();
    options.management_token.clear();
    app_fixture off(options);
    CHECK(ask(off, "GET", ping, as_manager) == "404 disabled\n");

    for (const std::string path : {"/_health/ping/", "/_HEALTH/Ping", "//_health/ping", "/_health/./ping"}) {
        INFO(path);
        fake_exchange ex("GET", path + "?x=1", as_manager);
        f.handle(ex);
        CHECK(ex.status() == 301);
        CHECK(ex.sent_header("Location") == "/_health/ping?x=1");
        CHECK(ex.sent_header("Content-Type").starts_with("text/html"));
        CHECK(f.status_of("PUT", path, as_manager) == 400);
    }
    CHECK(f.status_of("GET", "/_health/other", as_manager) == 400);
}

TEST_CASE("readiness is 503 when draining or when no volume is healthy", "[router][app][health]") {
    app_fixture f;
    CHECK(f.status_of("GET", "/_health/live") == 200);
    CHECK(f.body_of("/_health/ready") == "{\"health\":\"OK\"}\n");
    f.volume0->fail_everything(error(errc::unavailable, "does not respond"));
    CHECK(f.status_of("GET", "/_health/ready") == 200);
    CHECK(f.body_of("/_health/ready").find("zzzzz-nyw5e-000000000000000: does not respond") != std::string::npos);
    f.volume1->fail_everything(error(errc::unavailable, "does not respond"));
    CHECK(f.status_of("GET", "/_health/ready") == 503);
    f.volume0->fail_everything(std::nullopt);
    CHECK(f.status_of("GET", "/_health/ready") == 200);
    f.app.set_draining(true);
    CHECK(f.status_of("GET", "/_health/ready") == 503);
    CHECK(f.status_of("GET", "/_health/live") == 200);
    CHECK_FALSE(f.app.ready().ready);
}

TEST_CASE("inspect lists the running requests, without secrets", "[router][app][inspect]") {
    app_fixture f;
    fake_exchange refused("GET", "/_inspect/requests", as_user);
    f.handle(refused);
    CHECK(refused.status() == 401);
    CHECK(refused.sent_body() == "{\"errors\":[\"unauthorized\"]}\n");
    CHECK(f.body_of("/_inspect/requests", as_manager) == "[]\n");
    CHECK(f.status_of("HEAD", "/_inspect/requests", as_manager) == 400);

    const std::string locator = f.put_foo();
    fake_exchange get("GET", "/" + locator + "?api_token=v2/uuid/secret",
                      {{"Host", "h"}, {"X-Request-Id", "me"}, {"X-Forwarded-For", "198.51.100.7"}});
    std::string seen;
    get.on_write = [&] { seen = f.body_of("/_inspect/requests", as_manager); };
    f.handle(get);
    CHECK(get.status() == 200);
    const auto json = nlohmann::json::parse(seen);
    REQUIRE(json.size() == 1);
    CHECK(json[0]["RequestID"] == "me");
    CHECK(json[0]["Method"] == "GET");
    CHECK(json[0]["Host"] == "h");
    CHECK(json[0]["RemoteAddr"] == "192.0.2.1:1234");
    CHECK(json[0]["XForwardedFor"] == "198.51.100.7");
    CHECK(json[0]["Elapsed"].is_number());
    CHECK(json[0]["URL"] == "/" + foo_hash + "+3+A***?api_token=***");
}

TEST_CASE("a full limiter refuses without CORS headers, and management paths still work", "[router][app][limiter]") {
    auto options = default_app_options();
    options.limits = {.concurrent_max = 1, .queued_max = 0};
    app_fixture f(options);
    const std::string locator = f.put_foo();
    fake_exchange busy("GET", "/" + locator, as_user);
    std::optional<std::string> dumped;
    bool looked = false;
    busy.on_write = [&] {
        looked = true;
        fake_exchange refused("GET", "/" + locator, as_user);
        f.handle(refused);
        CHECK(refused.status() == 503);
        CHECK(refused.sent_body().empty());
        CHECK_FALSE(refused.sent("Access-Control-Allow-Origin"));
        CHECK(refused.sent("X-Request-Id"));
        CHECK(f.status_of("GET", "/metrics", as_manager) == 200);
        CHECK(f.status_of("GET", "/_health/ping", as_manager) == 200);
        CHECK(f.status_of("GET", "/_inspect/requests", as_manager) == 200);
        CHECK(f.status_of("GET", "/_status", as_manager) == 200);
        dumped = f.app.queue_dump_if_busy();
        // While it waits for its own client, others are served.
        f.app.stalled(busy, true);
        CHECK(f.status_of("GET", "/" + locator, as_user) == 200);
        f.app.stalled(busy, false);
    };
    f.handle(busy);
    CHECK(looked);
    CHECK(busy.status() == 200);
    CHECK(f.body_of("/metrics", as_manager).contains("arvados_concurrent_requests{queue=\"api\"} 0\n"));
    REQUIRE(dumped);
    CHECK(nlohmann::json::parse(*dumped).size() == 1);
    CHECK_FALSE(f.app.queue_dump_if_busy());
    f.app.stalled(busy, true);  // A finished request is ignored.
}

TEST_CASE("hosts that name collections", "[router][app]") {
    CHECK(router::is_collection_host("zzzzz-4zz18-012345678901234.example"));
    CHECK(router::is_collection_host("zzzzz-4zz18-012345678901234--collections.example:443"));
    CHECK(router::is_collection_host("acbd18db4cc2f85cedef654fccc4a4d8-3.example"));
    CHECK_FALSE(router::is_collection_host("acbd18db4cc2f85cedef654fccc4a4d8-.example"));
    CHECK_FALSE(router::is_collection_host("keep0.zzzzz.example"));
    CHECK_FALSE(router::is_collection_host(""));
}

TEST_CASE("an exception in a handler is a 500 and releases everything", "[router][app]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    fake_exchange ex("GET", "/" + locator, as_user);
    ex.on_write = [] { throw std::runtime_error("as if something were wrong"); };
    f.handle(ex);
    // The status line was sent already, so the response is cut off.
    CHECK(ex.aborted());
    CHECK(f.body_of("/metrics", as_manager).contains("arvados_concurrent_requests{queue=\"api\"} 0\n"));
    CHECK(f.pool.snapshot().in_use_bytes == 0);
}
