// The status page: who may see it, what it holds, and that no text of others becomes markup.
#include "router/status_page/status_page.hpp"

#include "router/limits.hpp"
#include "router/status_page/status_html.hpp"
#include "router/status_page/value_format.hpp"
#include "tests/router/app_fixture.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace keepstore;
using namespace keepstore::test;

namespace {

const std::string form = "token=" + management_token;

nlohmann::json status_of(app_fixture& f) {
    return nlohmann::json::parse(f.body_of("/_status.json", as_manager));
}

}  // namespace

TEST_CASE("the status page needs the ManagementToken, in a header or a form", "[router][status]") {
    app_fixture f;
    CHECK(f.status_of("GET", "/_status.json") == 401);
    CHECK(f.status_of("GET", "/_status.json", as_admin) == 403);
    CHECK(f.status_of("GET", "/_status.json", as_manager) == 200);
    CHECK(f.status_of("HEAD", "/_status.json", as_manager) == 200);
    CHECK(f.status_of("GET", "/_status") == 401);
    CHECK(f.status_of("GET", "/_status", as_user) == 403);
    CHECK(f.status_of("GET", "/_status", as_manager) == 200);
    CHECK(f.status_of("POST", "/_status", {}, form) == 200);
    CHECK(f.status_of("POST", "/_status", {}, "token=other") == 403);
    CHECK(f.status_of("POST", "/_status", {}, "") == 401);
    // Never in the URL, where logs and histories keep it, nor in a cookie.
    CHECK(f.status_of("GET", "/_status?api_token=" + management_token) == 401);
    CHECK(f.status_of("POST", "/_status?token=" + management_token, {}, "") == 401);
    CHECK(f.status_of("GET", "/_status.json", {{"Cookie", "arvados_api_token=bWFuYWdlbWVudHRva2Vu"}}) == 401);
}

TEST_CASE("other methods on the status page are refused by name", "[router][status]") {
    app_fixture f;
    for (const std::string method : {"PUT", "DELETE", "TOUCH"}) {
        fake_exchange ex(method, "/_status", as_manager);
        f.handle(ex);
        CHECK(ex.status() == 405);
        CHECK(ex.sent_header("Allow") == "GET, HEAD, POST, OPTIONS");
    }
    CHECK(f.status_of("POST", "/_status.json", as_manager, form) == 405);
    fake_exchange options("OPTIONS", "/_status.json");
    f.handle(options);
    CHECK(options.status() == 200);
    CHECK(options.sent_header("Allow") == "GET, HEAD, OPTIONS");
    // No page of another origin may read it.
    CHECK_FALSE(options.sent("Access-Control-Allow-Origin"));
    CHECK(f.status_of("GET", "/_status/", as_manager) == 400);
    CHECK(f.status_of("GET", "/_statusx", as_manager) == 400);
}

TEST_CASE("a form of any length is refused without being kept", "[router][status]") {
    app_fixture f;
    CHECK(f.status_of("POST", "/_status", {}, std::string(limits::status_form_bytes_max + 1, 'x')) == 413);
}

TEST_CASE("without a ManagementToken only this host sees the status", "[router][status]") {
    auto options = default_app_options();
    options.management_token.clear();
    app_fixture f(options);
    fake_exchange ex("GET", "/_status", {{"Host", "localhost"}});  // From 192.0.2.1.
    f.handle(ex);
    CHECK(ex.status() == 403);
    CHECK(ex.sent_body().find("ManagementToken") != std::string::npos);
    CHECK(f.status_of("GET", "/_status.json", as_manager) == 403);

    const auto local = [](const std::string& peer, fake_exchange::headers hs) {
        fake_exchange one("GET", "/_status", std::move(hs));
        return router::is_local_request(one.head(), peer);
    };
    CHECK(local("127.0.0.1:1234", {{"Host", "127.0.0.1:25107"}}));
    CHECK(local("127.8.9.1:1234", {{"Host", "LocalHost"}}));
    CHECK(local("[::1]:1234", {{"Host", "[::1]:25107"}}));
    CHECK(local("[::ffff:127.0.0.1]:1234", {{"Host", "localhost:25107"}}));
    CHECK_FALSE(local("192.0.2.1:1234", {{"Host", "localhost"}}));
    CHECK_FALSE(local("[::ffff:192.0.2.1]:1", {{"Host", "localhost"}}));
    // A load balancer on this host.
    for (const std::string header : {"X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"})
        CHECK_FALSE(local("127.0.0.1:1234", {{"Host", "localhost"}, {header, ""}}));
    // A web page whose name resolves to 127.0.0.1.
    CHECK_FALSE(local("127.0.0.1:1234", {{"Host", "evil.example"}}));
    CHECK_FALSE(local("127.0.0.1:1234", {{"Host", "127.evil.example"}}));
    CHECK_FALSE(local("127.0.0.1:1234", {}));
}

TEST_CASE("the status document has the state of all parts", "[router][status]") {
    auto options = default_app_options();
    options.cluster_id = "zzzzz";
    options.service = [] {
        router::service_values out;
        out.pools = {{"pull", {}}};
        return out;
    };
    app_fixture f(options);
    f.put_foo();
    f.volume1->fail_everything(error(errc::unavailable, "does not respond"));
    std::vector<digest::md5_segment> two(2, {{}, make_heap_slice(128 * KiB).freeze(128 * KiB)});
    REQUIRE(run(f.digest.compress_all(two)));
    const auto v = status_of(f);
    CHECK(v["service"]["cluster"] == "zzzzz");
    CHECK(v["service"]["version"] == "1.2.3 (test)");
    CHECK(v["service"]["state"] == "degraded");
    CHECK(v["service"]["problems"] == nlohmann::json{"volume zzzzz-nyw5e-111111111111111: does not respond"});
    CHECK(v["requests"]["by_method"][1]["method"] == "PUT");
    CHECK(v["requests"]["by_method"][1]["count"] == 1);
    CHECK(v["requests"]["by_method"][1]["to_end"]["p50"].is_number());
    CHECK(v["requests"]["by_method"][0]["to_end"]["p50"].is_null());
    CHECK(v["requests"]["active_max"] == 8);
    CHECK(v["volumes"].size() == 2);
    CHECK(v["volumes"][0]["device_id"] == "device-0");
    CHECK(v["volumes"][1]["problem"] == "does not respond");
    CHECK(v["digest"]["lanes"] == f.digest.lanes());
    CHECK(v["digest"]["lanes_per_pass_since_start"] == 2);
    std::vector<std::string> pools;
    for (const auto& p : v["memory"]["pools"]) pools.push_back(p["name"]);
    CHECK(pools == std::vector<std::string>{"request", "copy", "scratch", "pull"});
    CHECK(v["memory"]["resident_bytes"] > 1'000'000);
    f.app.set_draining(true);
    CHECK(status_of(f)["service"]["state"] == "stopping");
    // Requests for the page itself are not counted.
    CHECK(status_of(f)["requests"]["by_method"][0]["count"] == 0);
}

TEST_CASE("requests that fail are listed with their ids, without secrets", "[router][status]") {
    app_fixture f;
    f.volume0->fail_everything(error(errc::unavailable, "volume does not respond"));
    f.volume1->fail_everything(error(errc::unavailable, "volume does not respond"));
    fake_exchange put("PUT", "/" + foo_hash + "+3+Aabc@def?api_token=secret", {{"X-Request-Id", "req-of-this-test"}},
                      "foo");
    f.handle(put);
    REQUIRE(put.status() == 503);
    CHECK(f.status_of("GET", "/" + foo_hash + "+3", {}) == 401);
    const auto v = status_of(f);
    REQUIRE(v["failed_requests"].size() == 1);
    const auto& line = v["failed_requests"][0];
    CHECK(line["request_id"] == "req-of-this-test");
    CHECK(line["message"] == "503 PUT /" + foo_hash + "+3+A***");
    CHECK(line["details"] == "volume unavailable");
    CHECK(v["requests"]["by_method"][1]["failed"] == 1);
    CHECK(v["requests"]["by_method"][0]["refused"] == 1);
}

TEST_CASE("rates are those of the last samples", "[router][status]") {
    router::rate_samples samples;
    CHECK(samples.oldest().requests[0] == 0);
    for (std::uint64_t i = 1; i <= 10; ++i) {
        router::status_counters c;
        c.requests[0] = i;
        samples.add(c);
    }
    CHECK(samples.oldest().requests[0] == 11 - limits::status_samples);
}

TEST_CASE("texts of others stay texts on the page", "[router][status][security]") {
    app_fixture f;
    auto v = nlohmann::ordered_json::parse(f.body_of("/_status.json", as_manager));
    const std::string hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&";
    const auto flat = v.flatten();
    for (const auto& [key, value] : flat.items())
        if (value.is_string()) v[nlohmann::ordered_json::json_pointer(key)] = hostile;
    v["service"]["problems"] = nlohmann::ordered_json::array({hostile});
    const nlohmann::ordered_json line{
        {"at", hostile}, {"level", hostile}, {"request_id", hostile}, {"message", hostile}, {"details", hostile}};
    v["log"] = nlohmann::ordered_json::array({line});
    v["failed_requests"] = v["log"];
    const std::string page = router::status_html(v);
    CHECK(page.find("<script>alert") == std::string::npos);
    CHECK(page.find("<img") == std::string::npos);
    CHECK(page.find("\"'>") == std::string::npos);
    CHECK(page.find("&lt;script&gt;alert(1)&lt;/script&gt;") != std::string::npos);
    CHECK(router::status_login_html(hostile).find("<img") == std::string::npos);
}

TEST_CASE("the page refers to nothing else and names its script and style by hash", "[router][status][security]") {
    app_fixture f;
    for (const bool in : {true, false}) {
        fake_exchange ex("GET", "/_status", in ? as_manager : fake_exchange::headers{});
        f.handle(ex);
        CHECK(ex.sent_header("Content-Type") == "text/html; charset=utf-8");
        CHECK(ex.sent_header("Cache-Control") == "no-store");
        CHECK(ex.sent_header("X-Content-Type-Options") == "nosniff");
        CHECK(ex.sent_header("Referrer-Policy") == "no-referrer");
        CHECK_FALSE(ex.sent("Access-Control-Allow-Origin"));
        CHECK_FALSE(ex.sent("Set-Cookie"));
        const std::string policy = ex.sent_header("Content-Security-Policy");
        CHECK(policy.starts_with("default-src 'none'; script-src 'sha256-"));
        CHECK(policy.find("unsafe") == std::string::npos);
        CHECK(policy.find("http") == std::string::npos);
        CHECK(ex.sent_body().find("http") == std::string::npos);
        CHECK(ex.sent_body().find(management_token) == std::string::npos);
        // A style attribute would be refused by the policy.
        CHECK(ex.sent_body().find("style=\"") == std::string::npos);
    }
}

TEST_CASE("values have readable texts", "[router][status]") {
    using router::format_value;
    CHECK(format_value("bytes", 0) == "0 B");
    CHECK(format_value("bytes", 1023) == "1,023 B");
    CHECK(format_value("bytes", 1024) == "1.00 KiB");
    CHECK(format_value("bytes", 1152) == "1.13 KiB");  // A half goes up, as in JavaScript.
    CHECK(format_value("bytes", 64 * MiB) == "64.0 MiB");
    CHECK(format_value("bytes", 3.0e18) == "2665 PiB");
    CHECK(format_value("rate", 123 * KiB) == "123 KiB/s");
    CHECK(format_value("number", 1234567) == "1,234,567");
    CHECK(format_value("per_second", 0.125) == "0.13/s");
    CHECK(format_value("seconds", 0.000123) == "123 \u00b5s");
    CHECK(format_value("seconds", 0.0123) == "12.3 ms");
    CHECK(format_value("seconds", 12.34) == "12.3 s");
    CHECK(format_value("duration", 59.9) == "59 s");
    CHECK(format_value("duration", 3599) == "59 min 59 s");
    CHECK(format_value("duration", 90061) == "1 d 1 h");
    CHECK(format_value("percent", 0.125) == "12.5 %");
    CHECK(format_value("time", "2026-01-02T03:04:05Z") == "2026-01-02 03:04:05 UTC");
    CHECK(format_value("time", "never") == "never");
    CHECK(format_value("text", true) == "yes");
    CHECK(format_value("number", nullptr) == "\u2013");
    CHECK(format_value("number", std::numeric_limits<double>::infinity()) == "\u2013");
}
