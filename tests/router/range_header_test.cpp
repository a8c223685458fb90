#include "router/range_header.hpp"

#include <catch2/catch.hpp>

#include <limits>
#include <string>
#include <vector>

using namespace keepstore;
using router::parse_range;
using router::requested_range;

namespace {

constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

/// "first-last" of the parsed range, or "ignored".
std::string parsed(std::string_view value) {
    const auto spec = parse_range(value);
    if (!spec) return "ignored";
    return (spec->first ? std::to_string(*spec->first) : "") + "-" + (spec->last ? std::to_string(*spec->last) : "");
}

net::request_head head_of(std::string method, std::vector<net::header> headers) {
    net::request_head head;
    head.method = std::move(method);
    head.headers = std::move(headers);
    return head;
}

}  // namespace

TEST_CASE("a Range header with one range of bytes is parsed", "[router][range]") {
    CHECK(parsed("bytes=0-0") == "0-0");
    CHECK(parsed("bytes=0-499") == "0-499");
    CHECK(parsed("bytes=500-") == "500-");
    CHECK(parsed("bytes=-500") == "-500");
    CHECK(parsed("bytes=-0") == "-0");
    CHECK(parsed("bytes=007-08") == "7-8");
    // Units are compared without regard to case, lists may have empty elements and white space around commas.
    CHECK(parsed("BYTES=1-2") == "1-2");
    CHECK(parsed("Bytes=1-2,") == "1-2");
    CHECK(parsed("bytes=,1-2") == "1-2");
    CHECK(parsed("bytes=, \t1-2\t ,, ,") == "1-2");
}

TEST_CASE("numbers that do not fit are the largest", "[router][range]") {
    const std::string largest = std::to_string(most);
    CHECK(parsed("bytes=0-18446744073709551615") == "0-" + largest);
    CHECK(parsed("bytes=18446744073709551614-") == "18446744073709551614-");
    CHECK(parsed("bytes=0-18446744073709551616") == "0-" + largest);
    CHECK(parsed("bytes=0-18446744073709551620") == "0-" + largest);
    CHECK(parsed("bytes=-99999999999999999999999999") == "-" + largest);
    CHECK(parsed("bytes=" + std::string(5000, '9') + "-") == largest + "-");
    CHECK(parsed("bytes=" + std::string(5000, '0') + "7-") == "7-");
    CHECK(parsed("bytes=99999999999999999999999999-5") == "ignored");
}

TEST_CASE("everything else in a Range header is ignored", "[router][range]") {
    for (const std::string value :
         {"",           "bytes",         "bytes=",        "=0-1",          "bytes=-",    "bytes=,",
          "bytes= , ,", "bytes=0-1,3-4", "bytes=0-1,0-1", "bytes=-1,-1",   "bytes=5-4",  "bytes=0",
          "bytes=x",    "bytes=0-x",     "bytes=x-0",     "bytes=--1",     "bytes=0--1", "bytes=0-1-2",
          "bytes=+0-1", "bytes=0-+1",    "bytes=0x1-2",   "bytes=1.0-2",   "bytes=0 -1", "bytes=0- 1",
          "bytes= 0-1", "bytes=0-1 ",    "bytes =0-1",    " bytes=0-1",    "byte=0-1",   "items=0-1",
          "bytes:0-1",  "bytes=0-1;",    "bytes=0-1, x",  "bytes=\"0-1\"", "bytes==0-1", "bytes=0\u20131",
          "none",       "bytes=\v0-1"}) {
        INFO(value);
        CHECK(parsed(value) == "ignored");
    }
    CHECK(parsed(std::string_view("bytes=0-1\0", 10)) == "ignored");
}

TEST_CASE("Range is honoured only for GET, only once, and with a matching If-Range", "[router][range]") {
    const std::string tag = router::entity_tag_of(*md5_digest::parse("acbd18db4cc2f85cedef654fccc4a4d8"));
    CHECK(tag == "\"acbd18db4cc2f85cedef654fccc4a4d8\"");
    const auto counts = [&](std::string method, std::vector<net::header> headers) {
        return requested_range(head_of(std::move(method), std::move(headers)), tag).has_value();
    };
    const net::header range{"rAnGe", "bytes=0-1"};
    CHECK(counts("GET", {range}));
    CHECK_FALSE(counts("GET", {}));
    CHECK_FALSE(counts("HEAD", {range}));
    CHECK_FALSE(counts("PUT", {range}));
    CHECK_FALSE(counts("GET", {range, range}));
    CHECK_FALSE(counts("GET", {{"Range", "lines=0-1"}}));
    CHECK(counts("GET", {{"if-range", tag}, range}));
    CHECK_FALSE(counts("GET", {{"If-Range", tag}}));
    CHECK_FALSE(counts("GET", {range, {"If-Range", tag}, {"If-Range", tag}}));
    for (const std::string& other :
         {std::string(), std::string("*"), "W/" + tag, std::string("\"37b51d194a7513e45b56f6524f2d51f2\""),
          std::string("acbd18db4cc2f85cedef654fccc4a4d8"), std::string("\"ACBD18DB4CC2F85CEDEF654FCCC4A4D8\""),
          tag + ", \"x\"", std::string("Sat, 21 Nov 2026 04:02:07 GMT")}) {
        INFO(other);
        CHECK_FALSE(counts("GET", {range, {"If-Range", other}}));
    }
}

TEST_CASE("Content-Range has the range sent, or the size", "[router][range]") {
    CHECK(router::content_range(byte_range{0, 1}, 1) == "bytes 0-0/1");
    CHECK(router::content_range(byte_range{100, 200}, 300) == "bytes 100-299/300");
    CHECK(router::content_range(std::nullopt, 300) == "bytes */300");
    CHECK(router::content_range(std::nullopt, 0) == "bytes */0");
}
