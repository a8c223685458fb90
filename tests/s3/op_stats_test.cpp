#include "s3/op_stats.hpp"
#include "s3/limits.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::s3;

TEST_CASE("operations have the Go daemon's names, and others are counted separately", "[s3][stats]") {
    cloud::op_stats stats(stats_texts);
    for (std::size_t i = 0; i < operation_count; ++i) stats.count(static_cast<operation>(i));
    CHECK(stats.operations() ==
          std::map<std::string, std::uint64_t>{{"delete", 1}, {"get", 1}, {"head", 1}, {"list", 1}, {"put", 1}});
    CHECK(stats.other_operations().size() == operation_count - 5);
    CHECK(stats.other_operations().at("copy") == 1);
}

TEST_CASE("operations and usual errors are there from the start", "[s3][stats]") {
    const cloud::op_stats stats(stats_texts);
    CHECK(stats.operations().at("put") == 0);
    CHECK(stats.other_operations().at("head_bucket") == 0);
    CHECK(stats.errors().at("*smithy.OperationError") == 0);
    CHECK(stats.errors().at("*smithy.OperationError 503 SlowDown") == 0);
}

TEST_CASE("error types are the Go daemon's, and the number of unknown codes is bounded", "[s3][stats]") {
    cloud::op_stats stats(stats_texts);
    stats.failed(404, "NoSuchKey");
    stats.failed(404, "");
    stats.failed(503, "");
    stats.failed(0, "");
    stats.failed(500, "a code\nwith \"quotes\"");
    auto got = stats.errors();
    CHECK(got.at("*smithy.OperationError 404 NoSuchKey") == 1);
    CHECK(got.at("*smithy.OperationError 404 NotFound") == 1);
    CHECK(got.at("*smithy.OperationError 503 ServiceUnavailable") == 1);
    CHECK(got.at("*smithy.OperationError") == 1);
    CHECK(got.at("*smithy.OperationError 500 InternalServerError") == 1);

    for (int i = 0; i < 1000; ++i) stats.failed(400, "Code" + std::to_string(i));
    got = stats.errors();
    const auto seen = std::ranges::count_if(got, [](const auto& entry) { return entry.second != 0; });
    CHECK(static_cast<std::size_t>(seen) == limits::cloud_error_types_max + 1);
    CHECK(got.at("*smithy.OperationError other") == 1000 + 5 - limits::cloud_error_types_max);
}
