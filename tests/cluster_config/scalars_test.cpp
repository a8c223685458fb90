#include "cluster_config/scalars.hpp"
#include "cluster_config/url.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace keepstore::cluster_config;
using namespace std::chrono_literals;

TEST_CASE("durations follow Go's grammar", "[daemon][scalars]") {
    CHECK(parse_duration("336h") == 336h);
    CHECK(parse_duration("1h30m") == 90min);
    CHECK(parse_duration("1.5h") == 90min);
    CHECK(parse_duration("-1s") == -1s);
    CHECK(parse_duration("+2m") == 2min);
    CHECK(parse_duration("0") == 0s);
    CHECK(parse_duration("-0") == 0s);
    CHECK(parse_duration("500ms") == 500ms);
    CHECK(parse_duration("3us") == 3us);
    CHECK(parse_duration("3\xc2\xb5s") == 3us);
    CHECK(parse_duration("3\xce\xbcs") == 3us);
    CHECK(parse_duration("7ns") == 7ns);
    CHECK(parse_duration(".5s") == 500ms);
    CHECK(parse_duration("1.s") == 1s);
    CHECK(parse_duration("0.1s") == 100ms);
    CHECK(parse_duration("1s1s") == 2s);
    CHECK(parse_duration("-9223372036854775808ns") == std::chrono::nanoseconds::min());
    for (const auto* bad : {"", "1", "1d", "1w", "s", ".s", "-", "+", "1h 30m", " 1h", "1h ", "1H", "h1", "1e3s",
                            "--1s", "9223372036854775808ns", "2562048h", "99999999999999999999h", "0x1s"}) {
        INFO(bad);
        CHECK_FALSE(parse_duration(bad));
    }
}

TEST_CASE("a formatted duration reads back as itself", "[daemon][scalars]") {
    CHECK(format_duration(0s) == "0s");
    CHECK(format_duration(5min) == "5m");
    CHECK(format_duration(100h + 10min) == "100h10m");
    CHECK(format_duration(-1s) == "-1s");
    for (const auto d :
         {std::chrono::nanoseconds(1), std::chrono::nanoseconds(1234567890123), std::chrono::nanoseconds(-61s),
          std::chrono::nanoseconds::max(), std::chrono::nanoseconds::min()})
        CHECK(parse_duration(format_duration(d)) == d);
}

TEST_CASE("byte sizes follow Arvados' grammar", "[daemon][scalars]") {
    CHECK(parse_byte_size("16KiB") == 16384U);
    CHECK(parse_byte_size("1 MB") == 1000000U);
    CHECK(parse_byte_size("1.5Ki") == 1536U);
    CHECK(parse_byte_size("1E") == 1000000000000000000U);
    CHECK(parse_byte_size("1e3") == 1000U);
    CHECK(parse_byte_size("1e3K") == 1000000U);
    CHECK(parse_byte_size("2EiB") == 2305843009213693952U);
    CHECK(parse_byte_size("12B") == 12U);
    CHECK(parse_byte_size("1.0001K") == 1000U);
    for (const auto* bad : {"", "4kb", "4mib", "4 Ki B", "K", "-1K", "8EiB", "1.2.3", "4KB4", "4 KBB", "1e"}) {
        INFO(bad);
        CHECK_FALSE(parse_byte_size(bad));
    }
    CHECK(format_bytes(16384) == "16 KiB");
    CHECK(format_bytes(std::uint64_t{8} << 30) == "8 GiB");
    CHECK(format_bytes(100) == "100 bytes");
    CHECK(format_bytes(1536) == "1.5 KiB");
}

TEST_CASE("URLs are compared part by part, with a path added", "[daemon][url]") {
    const auto parse = [](const char* text) { return parse_url(text).value(); };
    CHECK(parse("http://h:25107") == parse("http://h:25107/"));
    CHECK(parse("HTTP://h") == parse("http://h/"));
    CHECK(parse("http://H") != parse("http://h"));
    CHECK(parse("http://h:80") != parse("http://h"));
    CHECK(parse("http://h/a") != parse("http://h/"));
    CHECK(parse("http://[::1]:80").hostname() == "::1");
    CHECK(parse("http://[::1]:80").port() == "80");
    CHECK(parse("http://h:0").port() == "0");
    CHECK(parse("http://h:").port().empty());
    CHECK(parse("http://:25107").hostname().empty());
    CHECK(parse("http://u:p@h:1/x?q#f").to_string() == "http://h:1/x?q#f");
    CHECK(parse("").host.empty());
    CHECK(parse("localhost:25107").opaque == "25107");
    for (const auto* bad :
         {"127.0.0.1:25107", ":80", "http://h:port/", "http://[::1/", "http://a b/", "http://h/%zz", "http://h\x01/"}) {
        INFO(bad);
        CHECK_FALSE(parse_url(bad));
    }
}
