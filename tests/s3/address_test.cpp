#include "s3/bucket_address.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;

TEST_CASE("endpoints, regions and styles make these hosts and paths", "[s3][address]") {
    struct row {
        const char* endpoint;
        const char* region;
        const char* bucket;
        bool path_style;
        const char* host;
        const char* path;
        bool follows_region;
    };
    const row rows[] = {
        {"", "eu-west-1", "keep", false, "keep.s3.eu-west-1.amazonaws.com", "/a/b", true},
        {"", "eu-west-1", "keep", true, "s3.eu-west-1.amazonaws.com", "/keep/a/b", true},
        {"", "cn-north-1", "keep", false, "keep.s3.cn-north-1.amazonaws.com.cn", "/a/b", true},
        {"https://s3.amazonaws.com", "us-west-2", "keep", false, "keep.s3.us-west-2.amazonaws.com", "/a/b", true},
        {"https://s3-us-west-2.amazonaws.com/", "us-west-2", "keep", false, "keep.s3.us-west-2.amazonaws.com", "/a/b",
         true},
        {"https://s3.dualstack.us-west-2.amazonaws.com", "us-west-2", "keep", false,
         "keep.s3.dualstack.us-west-2.amazonaws.com", "/a/b", false},
        {"https://storage.example.org", "us-east-1", "keep", false, "keep.storage.example.org", "/a/b", false},
        {"storage.example.org", "us-east-1", "keep", false, "keep.storage.example.org", "/a/b", false},
        {"https://storage.example.org/base/", "us-east-1", "keep", false, "keep.storage.example.org", "/base/a/b",
         false},
        {"http://storage.example.org/base", "us-east-1", "keep", true, "storage.example.org", "/base/keep/a/b", false},
        // Names that are invalid, or that certificates do not cover.
        {"https://storage.example.org", "us-east-1", "my.keep", false, "storage.example.org", "/my.keep/a/b", false},
        {"http://storage.example.org", "us-east-1", "my.keep", false, "my.keep.storage.example.org", "/a/b", false},
        {"https://storage.example.org", "us-east-1", "My_Keep", false, "storage.example.org", "/My_Keep/a/b", false},
        {"http://127.0.0.1:7480", "us-east-1", "keep", false, "127.0.0.1", "/keep/a/b", false},
        {"http://[::1]:7480", "us-east-1", "keep", false, "::1", "/keep/a/b", false},
        {"http://localhost:7480", "us-east-1", "keep", false, "localhost", "/keep/a/b", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.endpoint, row.bucket, row.path_style);
        const auto got = make_bucket_address(
            {.endpoint = row.endpoint, .region = row.region, .bucket = row.bucket, .path_style = row.path_style});
        REQUIRE(got.has_value());
        CHECK(got->to.host == row.host);
        CHECK(got->path_of("a/b") == row.path);
        CHECK(got->follows_region == row.follows_region);
    }
}

TEST_CASE("the bucket itself has a path, and keys are encoded once", "[s3][address]") {
    const auto hosted = make_bucket_address({.endpoint = "https://h.example", .region = "r", .bucket = "keep"});
    REQUIRE(hosted.has_value());
    CHECK(hosted->path_of("") == "/");
    CHECK(hosted->path_of("a b%2F/./c") == "/a%20b%252F/./c");
    const auto in_path = make_bucket_address({.endpoint = "http://127.0.0.1:1", .region = "r", .bucket = "keep"});
    REQUIRE(in_path.has_value());
    CHECK(in_path->path_of("") == "/keep");
}

TEST_CASE("an invalid address is refused with a text that names the setting", "[s3][address]") {
    const std::tuple<const char*, const char*, const char*, const char*> rows[] = {
        {"https://h", "r", "", "Bucket"},           {"https://h", "r", "a/b", "Bucket"},
        {"https://h", "", "keep", "Region"},        {"https://h", "eu west", "keep", "Region"},
        {"ftp://h", "r", "keep", "Endpoint"},       {"https://h?x=1", "r", "keep", "Endpoint"},
        {"https://u:p@h", "r", "keep", "Endpoint"}, {"", "evil.example/", "keep", "Region"},
    };
    for (const auto& [endpoint, region, bucket, word] : rows) {
        CAPTURE(endpoint, region, bucket);
        const auto got = make_bucket_address({.endpoint = endpoint, .region = region, .bucket = bucket});
        REQUIRE_FALSE(got.has_value());
        CHECK(got.error() == errc::bad_request);
        CHECK(got.error().text.find(word) != std::string::npos);
    }
}
