#include "net/http/url.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace keepstore;
using net::endpoint;
using net::parse_url;

TEST_CASE("URLs are parsed", "[net][url]") {
    struct row {
        const char* text;
        endpoint to;
        const char* target;
    };
    const row rows[] = {
        {"http://a", {false, "a", 80}, "/"},
        {"https://a/", {true, "a", 443}, "/"},
        {"HTTPS://S3.Example.COM:9000/b/k?x=1&y", {true, "s3.example.com", 9000}, "/b/k?x=1&y"},
        {"http://a?q", {false, "a", 80}, "/?q"},
        {"http://a:/x#frag", {false, "a", 80}, "/x"},
        {"http://127.0.0.1:1/", {false, "127.0.0.1", 1}, "/"},
        {"http://[::1]:65535/%2F//.", {false, "::1", 65535}, "/%2F//."},
        {"https://[FE80:0::1]", {true, "fe80::1", 443}, "/"},
        {"http://under_score.x-y.z", {false, "under_score.x-y.z", 80}, "/"},
    };
    for (const auto& r : rows) {
        INFO(r.text);
        const auto parsed = parse_url(r.text);
        REQUIRE(parsed.has_value());
        CHECK(parsed->to == r.to);
        CHECK(parsed->target == r.target);
    }
}

TEST_CASE("ambiguous URLs are refused, and not repeated in the error", "[net][url]") {
    const char* rows[] = {"",
                          "a",
                          "ftp://a/",
                          "file:///etc/passwd",
                          "gopher://a/",
                          "http:/a",
                          "http://",
                          "http:///x",
                          "http://?x",
                          "http://user@a/",
                          "http://user:secret@a/",
                          "http://a:0/",
                          "http://a:65536/",
                          "http://a:x/",
                          "http://a:+1/",
                          "http://[::1",
                          "http://[::1]x/",
                          "http://[nonsense]/",
                          "http://[127.0.0.1]/",
                          "http://a b/",
                          "http://a/ b",
                          "http://a/\r\nX: y",
                          "http://a/\"",
                          "http://\xc3\xa4/",
                          "http://127.1/",
                          "http://0x7f.0.0.1/",
                          "http://2130706433/",
                          "http://0177.0.0.1/",
                          "http://256.0.0.1/",
                          "http://a..b/",
                          "http://.a/",
                          "http://-a/",
                          "http://0x7f000001/",
                          "http://[fd00:ec2::254%1]/",
                          "http://[fe80::1%eth0]:80/",
                          "http://[fe80::1%25eth0]/"};
    for (const char* text : rows) {
        INFO(text);
        const auto parsed = parse_url(text);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error() == errc::bad_request);
        CHECK(parsed.error().text.find("secret") == std::string::npos);
    }
}

TEST_CASE("a Location is resolved relative to the request's URL", "[net][url]") {
    const net::url base{{true, "a", 443}, "/dir/file?q=1"};
    struct row {
        const char* location;
        const char* to;
        const char* target;
    };
    const row rows[] = {
        {"http://b/x", "http://b:80", "/x"},
        {"//b:1/x", "https://b:1", "/x"},
        {"/x?y", "https://a:443", "/x?y"},
        {"x", "https://a:443", "/dir/x"},
        {"?z", "https://a:443", "/dir/file?z"},
        {"/x:y#f", "https://a:443", "/x:y"},
        {"x?u=http://c/", "https://a:443", "/dir/x?u=http://c/"},
    };
    for (const auto& r : rows) {
        INFO(r.location);
        const auto resolved = net::resolve_location(base, r.location);
        REQUIRE(resolved.has_value());
        CHECK(net::to_string(resolved->to) == r.to);
        CHECK(resolved->target == r.target);
    }
    for (const char* bad : {"", "file:///x", "javascript:x", "http://u@b/", "a b"}) {
        INFO(bad);
        CHECK_FALSE(net::resolve_location(base, bad).has_value());
    }
}

TEST_CASE("the Host header has a port only where it differs from the scheme's", "[net][url]") {
    CHECK(net::host_header({false, "a", 80}) == "a");
    CHECK(net::host_header({true, "a", 443}) == "a");
    CHECK(net::host_header({true, "a", 80}) == "a:80");
    CHECK(net::host_header({false, "::1", 9000}) == "[::1]:9000");
    CHECK(net::to_string(endpoint{true, "::1", 443}) == "https://[::1]:443");
}
