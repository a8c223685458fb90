#include "router/metrics.hpp"

#include "tests/router/app_fixture.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <regex>

using namespace keepstore;
using namespace keepstore::test;

TEST_CASE("metrics have the names and labels of docs/interface.md 6", "[router][metrics]") {
    app_fixture f;
    const std::string before = f.body_of("/metrics", as_manager);
    for (const std::string line : {R"x(request_duration_seconds_count{code="200",method="get"} 0)x",
                                   R"x(arvados_concurrent_requests{queue="api"} 0)x",
                                   R"x(arvados_queue_timeout_seconds_count{priority="high",queue="api"} 0)x",
                                   R"x(keepstore_trash_items_total{outcome="failed"} 0)x"}) {
        INFO(line);
        CHECK(before.find(line) != std::string::npos);
    }

    const std::string locator = f.put_foo();
    CHECK(f.status_of("GET", "/" + locator, as_user) == 200);
    CHECK(f.status_of("TOUCH", "/" + foo_hash, as_user) == 403);
    CHECK(f.status_of("INVENTED", "/") == 400);
    CHECK(f.status_of("GET", "/_inspect/requests") == 401);
    const std::string text = f.body_of("/metrics", as_manager);
    for (const std::string line : {R"x(request_duration_seconds_count{code="200",method="get"} 1)x",
                                   R"x(request_duration_seconds_count{code="200",method="put"} 1)x",
                                   R"x(request_duration_seconds_count{code="403",method="unknown"} 1)x",
                                   R"x(request_duration_seconds_count{code="401",method="get"} 1)x",
                                   R"x(time_to_status_seconds_count{code="403",method="touch"} 1)x",
                                   R"x(arvados_max_active_request_age_seconds 0)x",
                                   R"x(arvados_max_abandoned_request_age_seconds 0)x",
                                   R"x(arvados_concurrent_requests{queue="api"} 0)x",
                                   R"x(arvados_max_concurrent_requests{queue="api"} 8)x",
                                   R"x(arvados_max_queued_requests{queue="api"} 8)x",
                                   R"x(arvados_queued_requests{priority="high",queue="api"} 0)x",
                                   R"x(arvados_queued_requests{priority="low",queue="api"} 0)x",
                                   R"x(arvados_queue_delay_seconds_count{priority="normal",queue="api"} 4)x",
                                   R"x(arvados_version_running{version="1.2.3 (test)"} 1)x",
                                   R"x(keepstore_blob_signing_ttl_seconds 1209600)x",
                                   R"x(arvados_keepstore_bufferpool_max_buffers 1)x",
                                   R"x(arvados_keepstore_bufferpool_inuse_buffers 0)x",
                                   R"x(arvados_keepstore_pull_queue_pending_entries 0)x",
                                   R"x(arvados_keepstore_pull_queue_inprogress_entries 0)x",
                                   R"x(arvados_keepstore_trash_queue_pending_entries 0)x",
                                   R"x(arvados_keepstore_trash_queue_inprogress_entries 0)x",
                                   R"x(arvados_keepstore_volume_operations{device_id="device-)x",
                                   R"x(operation="create"} 1)x",
                                   R"x(arvados_keepstore_volume_io_bytes{device_id="device-0",direction="in"} )x",
                                   R"x(# TYPE request_duration_seconds summary)x",
                                   R"x(# TYPE arvados_keepstore_volume_operations counter)x",
                                   R"x(mount="zzzzz-nyw5e-000000000000000",operation="read",state="healthy"} 1)x",
                                   R"x(mount="zzzzz-nyw5e-000000000000000",operation="write",state="gone"} 0)x",
                                   R"x(keepstore_pool_in_use_bytes{pool="request"} 0)x",
                                   R"x(keepstore_bad_copies_total 0)x",
                                   R"x(keepstore_log_lines_dropped_total)x"}) {
        INFO(line);
        CHECK(text.find(line) != std::string::npos);
    }
    CHECK(text.find("arvados_keepstore_bufferpool_allocated_bytes") != std::string::npos);
    CHECK(text.find(R"x(arvados_queue_delay_seconds{priority="normal",queue="api",quantile="0.99"})x") !=
          std::string::npos);
    // Inspect is not logged, so it has no time to status; metrics requests are not counted.
    CHECK(text.find(R"x(time_to_status_seconds_count{code="401",method="get"} 0)x") != std::string::npos);
    // The health aggregator of Arvados reads the configuration's time with this pattern (docs/interface.md 6.5).
    CHECK(std::regex_search(
        text, std::regex(R"re(arvados_config_source_timestamp_seconds\{sha256="abc123"\} \d[\d.e+]+\n)re")));
    CHECK(text.find("go_") == std::string::npos);
}

TEST_CASE("a volume in trouble is not healthy in the metrics", "[router][metrics][health]") {
    app_fixture f;
    const auto value_of = [&](int volume) {
        const std::string text = f.body_of("/metrics", as_manager);
        std::smatch found;
        const std::regex line("keepstore_volume_healthy\\{device_id=\"device-" + std::to_string(volume) +
                              "\"[^}]*\\} (.)\n");
        return std::regex_search(text, found, line) ? found.str(1) : "missing";
    };
    CHECK(value_of(0) == "1");
    f.volume0->fail_everything(error(errc::unavailable, "does not respond"));
    CHECK(value_of(0) == "0");
    CHECK(value_of(1) == "1");
}

TEST_CASE("metrics as JSON have the shape of the protocol buffer", "[router][metrics]") {
    app_fixture f;
    static_cast<void>(f.put_foo());
    static_cast<void>(f.put_foo());
    const auto json = nlohmann::json::parse(f.body_of("/metrics.json", as_manager));
    REQUIRE(json.is_array());
    bool summary = false, histogram = false, gauge = false, counter = false, quantiles = false;
    for (const auto& family : json) {
        CHECK(family.contains("help"));
        const std::string name = family["name"];
        const auto& first = family["metric"].at(0);
        if (name == "request_duration_seconds") {
            summary = true;
            CHECK(family["type"] == "SUMMARY");
            const auto is_put = [](const auto& m) {
                return m["label"] ==
                       nlohmann::json{{{"name", "code"}, {"value", "200"}}, {{"name", "method"}, {"value", "put"}}};
            };
            const auto put = std::ranges::find_if(family["metric"], is_put);
            REQUIRE(put != family["metric"].end());
            CHECK((*put)["summary"]["sampleCount"] == "2");
            CHECK((*put)["summary"]["sampleSum"].is_number());
            CHECK((*put)["summary"]["createdTimestamp"]["seconds"].is_string());
        } else if (name == "keepstore_block_duration_seconds") {
            histogram = true;
            CHECK(family["type"] == "HISTOGRAM");
            CHECK(first["label"][0] == nlohmann::json{{"name", "method"}, {"value", "get"}});
            CHECK(first["histogram"]["sampleCount"] == "0");
            CHECK(first["histogram"]["bucket"][0] == nlohmann::json{{"cumulativeCount", "0"}, {"upperBound", 0.0005}});
        } else if (name == "arvados_concurrent_requests") {
            gauge = true;
            CHECK(family["type"] == "GAUGE");
            CHECK(first["gauge"]["value"] == 0);
        } else if (name == "arvados_keepstore_volume_operations") {
            counter = true;
            CHECK(family["type"] == "COUNTER");
            CHECK(first["counter"]["value"].is_number());
        } else if (name == "arvados_queue_delay_seconds") {
            quantiles = first["summary"]["quantile"].size() == 4;
        }
    }
    CHECK((summary && histogram && gauge && counter && quantiles));
}

TEST_CASE("access to metrics", "[router][metrics][auth]") {
    for (const std::string path : {"/metrics", "/metrics.json"}) {
        app_fixture f;
        fake_exchange none("GET", path);
        f.handle(none);
        CHECK(none.status() == 401);
        CHECK(none.sent_body() == "Unauthorized\n");
        CHECK_FALSE(none.sent("X-Request-Id"));
        CHECK_FALSE(none.sent("Access-Control-Allow-Origin"));
        CHECK(f.status_of("GET", path, as_user) == 403);
        CHECK(f.status_of("GET", path, as_manager) == 200);
        CHECK(f.status_of("HEAD", path, as_manager) == 200);
        CHECK(f.status_of("GET", path + "?api_token=" + management_token) == 200);
        CHECK(f.status_of("POST", path, as_manager) == 400);
        auto options = default_app_options();
        options.management_token.clear();
        app_fixture open(options);
        CHECK(open.status_of("GET", path) == 200);
        CHECK(open.status_of("GET", path, as_user) == 200);
        // A collection's host has no management paths.
        CHECK(open.status_of("GET", path, {{"Host", "zzzzz-4zz18-012345678901234.collections.example"}}) == 400);
    }
}

TEST_CASE("samples from outside are merged by name", "[router][metrics]") {
    auto options = default_app_options();
    options.more_metrics = [] {
        return std::vector<router::metrics::sample>{
            {.name = "keepstore_connections", .help = "Open connections", .value = 3, .labels = {{"loop", "0"}}},
            {.name = "keepstore_connections", .help = "Open connections", .value = 4, .labels = {{"loop", "1"}}}};
    };
    app_fixture f(options);
    const std::string text = f.body_of("/metrics", as_manager);
    CHECK(text.find("keepstore_connections{loop=\"0\"} 3\n") != std::string::npos);
    CHECK(text.find("keepstore_connections{loop=\"1\"} 4\n") != std::string::npos);
}
