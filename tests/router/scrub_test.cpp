// The scrub's administration with the real store and volumes in memory, and its output as JSON and as metrics.
#include "router/scrub_report.hpp"
#include "store/limits.hpp"

#include "tests/router/app_fixture.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::test;
using nlohmann::json;

namespace {

struct scrub_fixture : app_fixture {
    store::scrub_clock clock;
    store::scrubber scrub{store, {.interval = std::chrono::nanoseconds(0), .rate = 1000}, clock};
    router::app with_scrub{default_app_options(), store, pulls, trash, &scrub};

    fake_exchange ask(std::string method, std::string target, fake_exchange::headers hs = as_admin) {
        fake_exchange ex(std::move(method), std::move(target), std::move(hs));
        run(with_scrub.handle(ex));
        return ex;
    }
};

}  // namespace

TEST_CASE("the scrub needs the administrator's token", "[router][scrub]") {
    scrub_fixture f;
    for (const std::string method : {"GET", "HEAD", "PUT", "DELETE", "POST"}) {
        CHECK(f.ask(method, "/_scrub", {}).status() == 401);
        CHECK(f.ask(method, "/_scrub", as_user).status() == 403);
        CHECK(f.ask(method, "/_scrub", as_manager).status() == 403);
    }
    for (const std::string method : {"GET", "HEAD", "PUT", "DELETE"}) CHECK(f.ask(method, "/_scrub").status() == 200);
    const auto refused = f.ask("POST", "/_scrub");
    CHECK(refused.status() == 405);
    CHECK(refused.sent_header("Allow") == "GET, HEAD, PUT, DELETE");
    CHECK(f.ask("GET", "/_scrub/").status() == 400);
}

TEST_CASE("parameters of the scrub are checked", "[router][scrub]") {
    scrub_fixture f;
    for (const std::string method : {"GET", "PUT", "DELETE"}) CHECK(f.ask(method, "/_scrub?mount=x").status() == 404);
    for (const std::string wrong :
         {"rate=x", "rate=-1", "rate=1.5", "rate=+1", "rate=99999999999999999999", "fresh=2", "fresh=yes"}) {
        CAPTURE(wrong);
        CHECK(f.ask("PUT", "/_scrub?" + wrong).status() == 400);
    }
    for (const std::string right :
         {"rate=0", "rate=123", "fresh=0", "fresh=1", "rate=&fresh=", "mount=zzzzz-nyw5e-111111111111111"}) {
        CAPTURE(right);
        CHECK(f.ask("PUT", "/_scrub?" + right).status() == 200);
    }
    const auto one = json::parse(f.ask("GET", "/_scrub?mount=zzzzz-nyw5e-111111111111111").sent_body());
    REQUIRE(one["scrubs"].size() == 1);
    CHECK(one["scrubs"][0]["mount"] == "zzzzz-nyw5e-111111111111111");
    const auto all = json::parse(f.ask("GET", "/_scrub").sent_body());
    REQUIRE(all["scrubs"].size() == 2);
    CHECK(all["scrubs"][0]["state"] == "running");  // Requested, though no task has begun it.
    CHECK(all["scrubs"][0]["rate_limit"] == 1000);
}

TEST_CASE("without a scrubber /_scrub is 404", "[router][scrub]") {
    app_fixture f;
    for (const std::string method : {"GET", "PUT", "DELETE"}) CHECK(f.status_of(method, "/_scrub", as_admin) == 404);
}

TEST_CASE("a report has the findings and their times", "[router][scrub]") {
    store::scrub_status s;
    s.mount = "m";
    s.state = store::scrub_state::failed;
    s.reason = "cannot be listed: \"quoted\" \xff";
    s.position = limits::scrub_steps / 4;
    s.started = store::scrub_time(std::chrono::seconds(1'700'000'000));
    s.last_complete = store::scrub_time(std::chrono::milliseconds(1'600'000'000'500));
    s.pass = {.blocks = 1,
              .bytes = 2,
              .bad = 3,
              .unreadable = 4,
              .repaired = 5,
              .irreparable = 6,
              .vanished = 7,
              .waypoints_written = 8};
    s.total = {.blocks = 11,
               .bytes = 12,
               .bad = 13,
               .unreadable = 14,
               .repaired = 15,
               .irreparable = 16,
               .vanished = 17,
               .waypoints_written = 18};
    s.irreparable.push_back({foo, 3, 64, "rotten", store::scrub_time(std::chrono::seconds(0))});
    s.irreparable_unlisted = 9;
    const auto out = json::parse(router::scrub_json({s}))["scrubs"][0];
    CHECK(out["progress"] == 0.25);
    CHECK(out["started_at"] == "2023-11-14T22:13:20Z");
    CHECK(out["next_due_at"].is_null());
    CHECK(out["seconds_left"].is_null());
    CHECK(out["waypoints_written"] == 8);
    CHECK(out["irreparable_copies"][0]["block"] == foo_hash);
    CHECK(out["irreparable_copies"][0]["first_seen_at"] == "1970-01-01T00:00:00Z");
    CHECK(out["irreparable_copies_not_listed"] == 9);

    const auto samples = router::scrub_samples({s});
    const auto value = [&](const std::string& name) {
        const auto at = std::ranges::find(samples, "keepstore_scrub_" + name, &router::metrics::sample::name);
        REQUIRE(at != samples.end());
        CHECK(at->labels == std::vector<std::pair<std::string, std::string>>{{"mount", "m"}});
        CHECK(at->counter == name.ends_with("_total"));
        return at->value;
    };
    CHECK(value("blocks_total") == 11);
    CHECK(value("bytes_total") == 12);
    CHECK(value("bad_copies_total") == 13);
    CHECK(value("unreadable_copies_total") == 14);
    CHECK(value("repaired_copies_total") == 15);
    CHECK(value("waypoints_written_total") == 18);
    CHECK(value("irreparable_copies") == 10);
    CHECK(value("running") == 0);
    CHECK(value("last_complete_timestamp_seconds") == 1'600'000'000.5);
}
