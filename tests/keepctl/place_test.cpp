#include "keepctl/cluster/place.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>

using namespace keepstore::keepctl;

namespace {

template <class Kind>
Kind parsed_as(std::string_view text) {
    const auto p = parse_place(text);
    REQUIRE(p);
    CHECK(p->text == text);
    REQUIRE(std::holds_alternative<Kind>(p->where));
    return std::get<Kind>(p->where);
}

}  // namespace

TEST_CASE("each form of a place is parsed", "[keepctl][place]") {
    const auto server = parsed_as<server_place>("keep:https://keep1.example:25107#zzzzz-nyw5e-000000000000001");
    CHECK(server.server.to.tls);
    CHECK(server.server.to.host == "keep1.example");
    CHECK(server.server.to.port == 25107);
    CHECK(server.server.path == "/");
    CHECK(server.mount_uuid == "zzzzz-nyw5e-000000000000001");
    CHECK(parsed_as<server_place>("keep:http://[::1]:1/prefix").server.path == "/prefix/");
    parsed_as<cluster_place>("cluster");
    CHECK(parsed_as<volume_place>("volume:zzzzz-nyw5e-000000000000000").uuid == "zzzzz-nyw5e-000000000000000");
    CHECK(parsed_as<directory_place>("dir:/mnt/a b").path == "/mnt/a b");

    const auto bucket = parsed_as<bucket_place>(
        "s3://keep?endpoint=http%3A%2F%2F127.0.0.1:9000&region=eu-1&prefix-length=3&path-style=1&profile=b&ca-file=/"
        "c.pem");
    CHECK(bucket.bucket == "keep");
    CHECK(bucket.endpoint == "http://127.0.0.1:9000");
    CHECK(bucket.region == "eu-1");
    CHECK(bucket.prefix_length == 3);
    CHECK(bucket.path_style);
    CHECK(bucket.profile == "b");
    CHECK(bucket.ca_file == "/c.pem");
    CHECK(parsed_as<bucket_place>("s3://keep/?endpoint=https://s3.example").region == "us-east-1");
}

TEST_CASE("a wrong place is refused with the right form", "[keepctl][place]") {
    const std::pair<const char*, const char*> wrong[] = {
        {"", "cluster"},
        {"ftp://x", "unknown kind of place \"ftp\""},
        {"dir:a", "dir:/absolute/path"},
        {"/mnt/keep", "dir:/mnt/keep"},
        {"http://keep1:25107", "keep:http"},
        {"keep:keep1:25107", "keep:http"},
        {"keep:http://keep1#", "UUID"},
        {"keep:http://keep1/?a=b", "query"},
        {"volume:", "UUID"},
        {"s3://", "bucket"},
        {"s3://bucket", "endpoint"},
        {"s3://bucket/folder?region=r", "no path"},
        {"s3://bucket?region=r&colour=red", "unknown key \"colour\""},
        {"s3://bucket?region=r&region=s", "twice"},
        {"s3://bucket?region", "key=value"},
        {"s3://bucket?region=", "no value"},
        {"s3://bucket?region=%zz", "percent"},
        {"s3://bucket?region=r&path-style=yes", "path-style"},
        {"s3://bucket?region=r&prefix-length=33", "prefix-length"},
        {"s3://bucket?endpoint=s3.example", "endpoint"},
    };
    for (const auto& [text, part] : wrong) {
        INFO(text);
        const auto p = parse_place(text);
        REQUIRE_FALSE(p);
        CHECK_THAT(p.error(), Catch::Contains(part));
    }
}

TEST_CASE("a secret in a place is refused, and not repeated", "[keepctl][place]") {
    for (const char* const text :
         {"s3://AKIA:canary@bucket?region=r", "keep:http://user:canary@keep1:25107",
          "s3://bucket?region=r&secret-key=canary", "s3://bucket?endpoint=http://u:canary@s3", "http:canary"}) {
        INFO(text);
        const auto p = parse_place(text);
        REQUIRE_FALSE(p);
        CHECK_THAT(p.error(), !Catch::Contains("canary"));
    }
}
