#include "protocol/host_rules.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;

TEST_CASE("an allow-list names hosts, ports and networks", "[protocol][hosts]") {
    const auto allows = [](std::vector<std::string> entries, const std::string& url) {
        const auto hosts = protocol::host_rules::parse(entries);
        REQUIRE(hosts.has_value());
        const auto to = net::parse_url(url);
        REQUIRE(to.has_value());
        return hosts->allows(to->to);
    };
    CHECK(allows({}, "http://anything.example"));
    CHECK(allows({"keep0.example"}, "http://keep0.example:25107"));
    CHECK(allows({"Keep0.Example"}, "https://KEEP0.example"));
    CHECK(!allows({"keep0.example"}, "http://keep00.example"));
    CHECK(allows({"keep0.example:25107"}, "http://keep0.example:25107"));
    CHECK(!allows({"keep0.example:25107"}, "http://keep0.example:22"));
    CHECK(allows({"10.1.0.0/16"}, "http://10.1.255.3:1"));
    CHECK(!allows({"10.1.0.0/16"}, "http://10.2.0.1:1"));
    CHECK(!allows({"10.1.0.0/16"}, "http://host.example"));
    CHECK(allows({"10.1.0.0/16"}, "http://[::ffff:10.1.2.3]:1"));
    CHECK(allows({"fd00::/8"}, "http://[fd12::1]:1"));
    // IPv4 networks, written as IPv4-mapped IPv6.
    CHECK(allows({"::ffff:10.1.0.0/112"}, "http://10.1.255.3:1"));
    CHECK(allows({"::ffff:10.1.0.0/112"}, "http://[::ffff:10.1.255.3]:1"));
    CHECK(!allows({"::ffff:10.1.0.0/112"}, "http://10.2.0.1:1"));
    CHECK(allows({"::ffff:10.1.2.3/128"}, "http://10.1.2.3:1"));
    CHECK(!allows({"::ffff:10.1.2.3/128"}, "http://10.1.2.2:1"));
    CHECK(allows({"::ffff:0:0/96"}, "http://1.2.3.4"));
    CHECK(!allows({"::ffff:0:0/96"}, "http://[fd12::1]:1"));
    CHECK(!allows({"fd00::/8"}, "http://10.1.2.3:1"));
    CHECK(allows({"0.0.0.0/0"}, "http://1.2.3.4"));
    CHECK(allows({"fd00::1"}, "http://[fd00::1]:99"));
    CHECK(!allows({"[fd00::1]:25107"}, "http://[fd00::1]:99"));
    CHECK(allows({"x.example", "127.0.0.1:80"}, "http://127.0.0.1"));
    protocol::host_rules no_host;
    no_host.restrict();
    CHECK(!no_host.allows({false, "127.0.0.1", 80}));
    for (const std::string wrong : {"", "http://host", "host/path", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x",
                                    "host:port", "host name", "fd00::/129", "x/8", "user@host", "::ffff:10.1.0.0/95",
                                    "::ffff:10.1.0.0/16", "::ffff:10.1.0.0/129", "[fe80::1%1]:80"}) {
        INFO(wrong);
        const auto parsed = protocol::host_rules::parse({wrong});
        REQUIRE(!parsed.has_value());
        CHECK(parsed.error() == errc::bad_request);
    }
}
