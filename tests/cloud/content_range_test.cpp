#include "cloud/content_range.hpp"
#include "cloud/object.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::cloud;

TEST_CASE("a Content-Range is read whole or not at all", "[cloud][range]") {
    const auto range = parse_content_range("bytes 5-9/1000");
    REQUIRE(range.has_value());
    CHECK(range->first == 5);
    CHECK(range->last == 9);
    CHECK(range->total == 1000);
    CHECK(parse_content_range("bytes 0-0/1").has_value());
    const auto unknown = parse_content_range("bytes 5-9/*");
    REQUIRE(unknown.has_value());
    CHECK(unknown->last == 9);
    CHECK_FALSE(unknown->total.has_value());
    for (const auto* text : {"", "bytes", "bytes 0-9", "bytes 0-9/", "bytes 0-9/**", "bytes 0-9/*1", "bytes 9-5/*",
                             "bytes */1000", "bytes 9-5/1000", "bytes 0-1000/1000", "bytes -5/1000", "bytes 0-9/1000 ",
                             "items 0-9/1000", "bytes 0-9/99999999999999999999"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_content_range(text).has_value());
    }
}

TEST_CASE("a Content-MD5 is the base64 of 16 bytes", "[cloud][object]") {
    CHECK(encode_content_md5(md5_of_nothing) == "1B2M2Y8AsgTpgAmY7PhCfg==");
    CHECK(decode_content_md5("1B2M2Y8AsgTpgAmY7PhCfg==") == md5_of_nothing);
    for (const auto* text :
         {"", "1B2M2Y8AsgTpgAmY7PhCfg", "1B2M2Y8AsgTpgAmY7PhC", "d41d8cd98f00b204e9800998ecf8427e"}) {
        CAPTURE(text);
        CHECK_FALSE(decode_content_md5(text).has_value());
    }
}

TEST_CASE("ETags lose their quotes, and weak ones are known", "[cloud][object]") {
    CHECK(strip_quotes("\"abc\"") == "abc");
    CHECK(strip_quotes("abc") == "abc");
    CHECK(strip_quotes("W/\"abc\"") == "abc");
    CHECK(strip_quotes("\"") == "\"");
    CHECK(is_weak("W/\"abc\""));
    CHECK_FALSE(is_weak("\"W/abc\""));
}
