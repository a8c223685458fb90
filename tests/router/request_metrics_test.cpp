#include "router/request_metrics.hpp"

#include <prometheus/text_serializer.h>
#include <catch2/catch.hpp>

#include <sstream>

using namespace keepstore::router;
using namespace std::chrono_literals;

namespace {

std::string text_of(const request_metrics& metrics) {
    std::vector<prometheus::MetricFamily> families;
    metrics.collect(families);
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families);
    return std::move(out).str();
}

bool has(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("the series of usual responses are there before the first request", "[router][metrics]") {
    const request_metrics metrics;
    const std::string text = text_of(metrics);
    CHECK(has(text, R"(request_duration_seconds_count{code="200",method="get"} 0)"));
    CHECK(has(text, R"(request_duration_seconds_count{code="502",method="get"} 0)"));
    CHECK(has(text, R"(request_duration_seconds_count{code="507",method="put"} 0)"));
    CHECK(has(text, R"(request_duration_seconds_count{code="403",method="unknown"} 0)"));
    CHECK(has(text, R"(time_to_status_seconds_count{code="200",method="touch"} 0)"));
    CHECK(has(text, R"(keepstore_block_duration_seconds_bucket{method="get",le="+Inf"} 0)"));
    CHECK(has(text, R"(keepstore_block_duration_seconds_sum{method="put"} 0)"));
    CHECK(text.find(R"(request_duration_seconds_count{code="200",method="touch"})") == text.npos);
}

TEST_CASE("a histogram counts a time at its bound, and in all buckets above", "[router][metrics]") {
    request_metrics metrics;
    metrics.count({"GET", 200, true}, 5ms);
    metrics.count({"GET", 206, true}, 5001us);
    metrics.count({"GET", 200, true}, 100s);
    const std::string text = text_of(metrics);
    const auto bucket = [&](const std::string& bound, const std::string& count) {
        INFO(bound);
        CHECK(has(text, "keepstore_block_duration_seconds_bucket{method=\"get\",le=\"" + bound + "\"} " + count));
    };
    bucket("0.002", "0");
    bucket("0.005", "1");
    bucket("0.01", "2");
    bucket("60", "2");
    bucket("+Inf", "3");
    CHECK(has(text, R"(keepstore_block_duration_seconds_count{method="get"} 3)"));
    CHECK(has(text, R"(keepstore_block_duration_seconds_bucket{method="put",le="+Inf"} 0)"));
    CHECK(text.find("keepstore_block_duration_seconds_sum{method=\"get\"} 100.01") != text.npos);
}

TEST_CASE("histograms have the blocks that were read or written, and nothing else", "[router][metrics]") {
    request_metrics metrics;
    metrics.count_logged({"PUT", 200, true}, {.to_status = 1s, .to_end = 2s});
    metrics.count({"GET", 404, true}, 1us);
    metrics.count({"GET", 200, false}, 1h);  // Of an index.
    metrics.count({"HEAD", 200, true}, 1us);
    const std::string text = text_of(metrics);
    CHECK(has(text, R"(keepstore_block_duration_seconds_count{method="get"} 0)"));
    CHECK(has(text, R"(keepstore_block_duration_seconds_count{method="put"} 1)"));
    CHECK(has(text, R"(keepstore_block_time_to_status_seconds_count{method="put"} 1)"));
    CHECK(has(text, R"(keepstore_block_time_to_status_seconds_sum{method="put"} 1)"));
    CHECK(has(text, R"(keepstore_block_duration_seconds_sum{method="put"} 2)"));
    CHECK(has(text, R"(keepstore_block_time_to_status_seconds_count{method="get"} 0)"));
    CHECK(has(text, R"(request_duration_seconds_count{code="404",method="get"} 1)"));
    CHECK(has(text, R"(request_duration_seconds_count{code="200",method="get"} 1)"));
}

TEST_CASE("a request that is logged is in both summaries, TOUCH under its own name in one of them",
          "[router][metrics]") {
    request_metrics metrics;
    metrics.count_logged({"TOUCH", 200, false}, {.to_status = 1s, .to_end = 3s});
    metrics.count({"TOUCH", 200, false}, 4s);
    const std::string text = text_of(metrics);
    CHECK(has(text, R"(request_duration_seconds_count{code="200",method="unknown"} 2)"));
    CHECK(has(text, R"(request_duration_seconds_sum{code="200",method="unknown"} 7)"));
    CHECK(has(text, R"(time_to_status_seconds_count{code="200",method="touch"} 1)"));
    CHECK(has(text, R"(time_to_status_seconds_sum{code="200",method="touch"} 1)"));
    CHECK(text.find(R"(request_duration_seconds_count{code="200",method="touch"})") == text.npos);
}
