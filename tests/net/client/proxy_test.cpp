#include "net/client/proxy.hpp"
#include "net/client/request_head.hpp"
#include "tests/net/client/script_server.hpp"
#include "tests/net/client/tls_identity.hpp"
#include "tests/support/proxy_server.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace keepstore;
using namespace keepstore::test;
using net::failure;
using net::proxy_rules;

namespace {

using variables = std::map<std::string, std::string, std::less<>>;

result<proxy_rules> rules_of(variables env) {
    return proxy_rules::from_environment([env](std::string_view name) -> std::optional<std::string> {
        const auto found = env.find(name);
        return found == env.end() || found->second.empty() ? std::nullopt : std::optional(found->second);
    });
}

/// The proxy for a URL, "host:port"; "" without one.
std::string found(const variables& env, std::string_view url) {
    const auto rules = rules_of(env);
    if (!rules) return "error: " + rules.error().text;
    const auto* const via = rules->find(net::parse_url(url)->to);
    return via ? via->to.host + ":" + std::to_string(via->to.port) : "";
}

}  // namespace

TEST_CASE("the proxy is that of the scheme, in lower case first", "[net][proxy]") {
    const variables both{{"HTTP_PROXY", "http://plain:1"}, {"HTTPS_PROXY", "http://secure:2"}};
    CHECK(found(both, "http://s3.example") == "plain:1");
    CHECK(found(both, "https://s3.example") == "secure:2");
    CHECK(found({}, "https://s3.example").empty());
    CHECK(found({{"HTTP_PROXY", "http://plain:1"}}, "https://s3.example").empty());
    CHECK(found({{"HTTPS_PROXY", "http://upper"}, {"https_proxy", "http://lower"}}, "https://s3.example") ==
          "lower:80");
    CHECK(found({{"HTTPS_PROXY", "http://upper"}, {"https_proxy", ""}}, "https://s3.example") == "upper:80");
    CHECK(found({{"ALL_PROXY", "http://all"}}, "http://s3.example").empty());
}

TEST_CASE("a proxy is read with and without scheme, port and user", "[net][proxy]") {
    const auto read = [](const std::string& text) {
        const auto rules = rules_of({{"http_proxy", text}});
        REQUIRE(rules.has_value());
        return *rules->find({false, "s3.example", 80});
    };
    using net::proxy;
    const net::endpoint to{false, "p.example", 3128};
    CHECK(read("http://p.example:3128") == proxy{to, ""});
    CHECK(read("http://p.example:3128/") == proxy{to, ""});
    CHECK(read("p.example:3128") == proxy{to, ""});
    CHECK(read(" HTTP://P.Example:3128 ") == proxy{to, ""});
    CHECK(read("http://[::1]:3128") == proxy{{false, "::1", 3128}, ""});
    CHECK(read("http://user:pass@p.example:3128") == proxy{to, "Basic dXNlcjpwYXNz"});
    CHECK(read("user@p.example:3128") == proxy{to, "Basic dXNlcjo="});
    CHECK(read("http://a%40b:p%3a%2F@p.example:3128") == proxy{to, "Basic YUBiOnA6Lw=="});

    for (const auto* text : {"https://p.example", "socks5://p.example:1080", "http://", "http://p.example:99999",
                             "http://user:%zz@p.example", "http://a b", "http://user:secret@"}) {
        CAPTURE(text);
        const auto rules = rules_of({{"HTTPS_PROXY", text}});
        REQUIRE_FALSE(rules.has_value());
        CHECK(rules.error() == errc::bad_request);
        CHECK(rules.error().text.starts_with("HTTPS_PROXY: "));
        CHECK(rules.error().text.find("secret") == std::string::npos);
    }
}

TEST_CASE("no_proxy names servers that are connected to directly", "[net][proxy]") {
    const auto direct = [](const std::string& list, std::string_view url) {
        return found({{"http_proxy", "http://p:1"}, {"https_proxy", "http://p:1"}, {"NO_PROXY", list}}, url).empty();
    };
    const std::tuple<const char*, const char*, bool> rows[] = {
        {"*", "http://s3.example", true},
        {"s3.example", "http://s3.example", true},
        {"S3.Example", "https://s3.example", true},
        {"example", "http://s3.example", true},
        {".example", "http://s3.example", true},
        {"*.example", "http://s3.example", true},
        {"a, s3.example ,b", "http://s3.example", true},
        {"3.example", "http://s3.example", false},
        {"s3.example.org", "http://s3.example", false},
        {"other", "http://s3.example", false},
        {",,", "http://s3.example", false},
        {"s3.example:9000", "http://s3.example:9000", true},
        {"s3.example:9000", "http://s3.example", false},
        {"s3.example:443", "https://s3.example", true},
        {"10.1.2.3", "http://10.1.2.3", true},
        {"10.1.2.3", "http://10.1.2.30", false},
        {"2.3", "http://10.1.2.3", false},
        {"10.0.0.0/8", "http://10.1.2.3", true},
        {"10.0.0.0/8", "http://11.1.2.3", false},
        {"10.0.0.0/99", "http://10.1.2.3", false},
        {"10.1.2.3:9000", "http://10.1.2.3:9000", true},
        {"10.1.2.3:9000", "http://10.1.2.3:9001", false},
        {"::1", "http://[::1]:9000", true},
        {"[::1]:9000", "http://[::1]:9000", true},
        {"[::1]", "http://[::1]:9000", true},
        {"fd00::/8", "http://[fd00::7]", true},
        {"fd00::/8", "http://[fe00::7]", false},
        // As AWS's tools, unlike Go's: a server on this host is no exception.
        {"", "http://127.0.0.1:9000", false},
        {"localhost,127.0.0.0/8", "http://127.0.0.1:9000", true},
    };
    for (const auto& [list, url, expected] : rows) {
        CAPTURE(list, url);
        CHECK(direct(list, url) == expected);
    }
    CHECK(found({{"http_proxy", "http://p:1"}, {"no_proxy", "a"}, {"NO_PROXY", "b"}}, "http://a").empty());
    CHECK_FALSE(found({{"http_proxy", "http://p:1"}, {"no_proxy", "a"}, {"NO_PROXY", "b"}}, "http://b").empty());
}

TEST_CASE("plain HTTP goes through a proxy with an absolute target", "[net][proxy]") {
    proxy_server between;
    std::string seen;
    script_server s([&](peer& p, int) {
        seen = p.head();
        p.answer("block");
    });
    const auto host = "s3.invalid";  // Only the proxy can find it.
    between.demand("Basic dXNlcjpwYXNz");
    const auto c = make_client({.proxies = *rules_of({{"http_proxy", "http://user:pass@" + between.address()}})});
    const auto got = call_once(c, {.to = s.to(host), .target = "/bucket/key?x=1"});
    CHECK(got.error_text() == "");
    CHECK(got.body == "block");
    s.stop();
    const auto authority = std::string(host) + ":" + std::to_string(s.port());
    CHECK(between.requests() == std::vector<std::string>{"GET http://" + authority + "/bucket/key?x=1 HTTP/1.1"});
    CHECK(seen.starts_with("GET /bucket/key?x=1 HTTP/1.1\r\nHost: " + authority + "\r\n"));
    CHECK(seen.find("Proxy-Authorization") == std::string::npos);

    SECTION("a client without proxies does not") {
        const auto direct = call_once(make_client(), {.to = {false, host, 1}});
        CHECK(direct.failed_with(errc::unavailable, failure::resolve));
        CHECK(between.requests().size() == 1);
    }
    SECTION("nor one whose no_proxy has the server") {
        const auto direct = make_client(
            {.proxies = *rules_of({{"http_proxy", "http://" + between.address()}, {"no_proxy", "s3.invalid"}})});
        CHECK(call_once(direct, {.to = {false, host, 1}}).failed_with(errc::unavailable, failure::resolve));
        CHECK(between.requests().size() == 1);
    }
    SECTION("wrong credentials are the proxy's response") {
        const auto other = make_client({.proxies = *rules_of({{"http_proxy", "http://" + between.address()}})});
        CHECK(call_once(other, {.to = {false, host, 1}}).status == 407);
    }
}

TEST_CASE("HTTPS goes through a tunnel of the proxy, which sees nothing of it", "[net][proxy][tls]") {
    const tls_files files;
    const auto context = serve_as(make_identity(&files.authority(), "DNS:s3.invalid"));
    script_server s(
        [&](peer& p, int) {
            while (!p.head().empty()) p.answer("block");
        },
        context.get());
    proxy_server between;
    between.demand("Basic dXNlcjpwYXNz");
    const auto through = [&](const std::string& user) {
        return make_client(
            {.ca_file = files.ca_file, .proxies = *rules_of({{"https_proxy", "http://" + user + between.address()}})});
    };
    const auto authority = "s3.invalid:" + std::to_string(s.port());
    SECTION("a connection is kept") {
        const auto c = through("user:pass@");
        for (const auto& got : run(call_in_turn(c, {.to = s.to("s3.invalid"), .target = "/secret"}, 3))) {
            CHECK(got.error_text() == "");
            CHECK(got.body == "block");
        }
        CHECK(between.requests() == std::vector<std::string>{"CONNECT " + authority + " HTTP/1.1"});
        CHECK(between.heads().front().find("\r\nHost: " + authority + "\r\n") != std::string::npos);
    }
    SECTION("the certificate must be the server's") {
        const auto got = call_once(through("user:pass@"), {.to = s.to("other.invalid")});
        CHECK(got.failed_with(errc::unavailable, failure::certificate));
    }
    SECTION("wrong credentials") {
        const auto got = call_once(through("user:wrong@"), {.to = s.to("s3.invalid")});
        CHECK(got.failed_with(errc::unavailable, failure::connect));
        CHECK(got.error_text().find("through the proxy http://" + between.address()) != std::string::npos);
        CHECK(got.error_text().find("(407)") != std::string::npos);
        CHECK(got.error_text().find("wrong") == std::string::npos);
    }
    SECTION("a server that the proxy does not reach") {
        const auto got = call_once(through("user:pass@"), {.to = {true, "s3.invalid", 1}});
        CHECK(got.failed_with(errc::unavailable, failure::connect));
        CHECK(got.error_text().find("status 502") != std::string::npos);
    }
}

TEST_CASE("a proxy that does not answer as one is an error in time", "[net][proxy]") {
    using namespace std::chrono_literals;
    proxy_server between;
    const auto c = make_client({.proxies = *rules_of({{"https_proxy", between.address()}})});
    const net::request r{.to = {true, "s3.invalid", 443}};
    for (const std::string text : {"hello\r\n\r\n", "HTTP/1.1 200 OK\r\nX y\r\n\r\n", "HTTP/1.1 200 OK\n\n",
                                   "HTTP/1.1 200 OK\r\n\r\nmore", "HTTP/1.1 100 Continue\r\n\r\n"}) {
        CAPTURE(text);
        between.answer_with(text);
        CHECK(call_once(c, r).failed_with(errc::unavailable, failure::connect));
    }
    SECTION("nothing listens") {
        const auto none = make_client({.proxies = *rules_of({{"https_proxy", "127.0.0.1:1"}})});
        const auto got = call_once(none, r);
        CHECK(got.failed_with(errc::unavailable, failure::connect));
        CHECK(got.error_text().find("through the proxy http://127.0.0.1:1: cannot connect") != std::string::npos);
    }
    SECTION("silence") {
        script_server silent([](peer& p, int) { p.wait_closed(); });
        const auto hung =
            make_client({.proxies = *rules_of({{"https_proxy", "127.0.0.1:" + std::to_string(silent.port())}})});
        auto late = r;
        late.timing.connect = 200ms;
        CHECK(call_once(hung, late).failed_with(errc::timeout, failure::connect_timeout));
    }
}
