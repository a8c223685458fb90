#include "keepctl/cluster/server_status.hpp"

#include <catch2/catch.hpp>

using namespace keepstore::keepctl;
using namespace std::chrono_literals;

TEST_CASE("metrics are found by name and label", "[keepctl][status]") {
    const std::string_view text =
        "# HELP a_b Something\n"
        "# TYPE a_b gauge\n"
        "a_bc 9\n"
        "a_b{x=\"1\",y=\"with \\\"quotes\\\", } and \\\\\"} 2.5\n"
        "a_b{x=\"2\"} 1e3\n"
        "a_b{x=\"3\" 7\n"
        "a_b{} nothing\n"
        "a_b 4 1700000000000\n";
    const auto samples = metric_samples(text, "a_b");
    REQUIRE(samples.size() == 3);
    CHECK(samples[0].value == 2.5);
    CHECK(samples[0].label("y") == "with \"quotes\", } and \\");
    CHECK(samples[1].value == 1000);
    CHECK(samples[1].label("y").empty());
    CHECK(samples[2].value == 4);
    CHECK(metric_value(text, "a_b") == 2.5);
    CHECK(metric_label(text, "a_b", "x") == "1");
    CHECK_FALSE(metric_label(text, "a_b", "z"));
    CHECK_FALSE(metric_value(text, "a"));
    CHECK_FALSE(metric_value("", "a_b"));
}

TEST_CASE("a clock on the same host is not behind", "[keepctl][status]") {
    const std::chrono::sys_seconds date(1'800'000'000s);
    const auto ahead = [&](std::chrono::milliseconds middle_after_date) {
        return clock_ahead({.status = 200, .body = {}, .date = date, .middle = date + middle_after_date});
    };
    CHECK_FALSE(clock_ahead({.status = 200}));
    // Date was the second that had begun: up to 0.999 s earlier, and some delay more.
    for (const auto late : {0ms, 1ms, 499ms, 500ms, 999ms, 1500ms, 2000ms}) CHECK(ahead(late) == 0s);
    CHECK(ahead(-1000ms) == 0s);
    CHECK(ahead(2001ms) == -2s);
    CHECK(ahead(-1001ms) == 2s);
    CHECK(ahead(60s + 500ms) == -60s);
    CHECK(ahead(-10min) == 600s);
}
