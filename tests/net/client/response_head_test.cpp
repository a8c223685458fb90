#include "net/client/response_head.hpp"
#include "net/client/failure.hpp"
#include "net/http/head_scanner.hpp"
#include "net/limits.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace keepstore;
using net::response_head;

namespace {

std::string lines(std::initializer_list<std::string_view> all) {
    std::string out;
    for (const auto line : all) out.append(line).append("\r\n");
    return out + "\r\n";
}

}  // namespace

TEST_CASE("response heads are parsed", "[net][head]") {
    response_head h;
    const auto text = lines({"HTTP/1.1 206 Partial Content", "Content-Length:  5 ", "ETag: \"x\"",
                             "Empty:", "Keep-Alive: max=5, timeout=7"});
    REQUIRE(net::parse_response_head(text, h).has_value());
    CHECK(h.status == 206);
    CHECK(h.content_length == 5U);
    CHECK(h.keep_alive);
    CHECK_FALSE(h.chunked);
    CHECK(h.keep_alive_timeout == std::chrono::seconds(7));
    REQUIRE(h.headers.size() == 4);
    CHECK(h.headers[1].name == "ETag");
    CHECK(h.headers[1].value == "\"x\"");
    CHECK(h.headers[2].value.empty());

    SECTION("nothing remains of the previous head") {
        REQUIRE(net::parse_response_head(lines({"HTTP/1.0 200"}), h).has_value());
        CHECK_FALSE(h.content_length.has_value());
        CHECK_FALSE(h.keep_alive);
        CHECK_FALSE(h.keep_alive_timeout.has_value());
        CHECK(h.headers.empty());
    }
    SECTION("equal lengths are one length") {
        REQUIRE(net::parse_response_head(lines({"HTTP/1.1 200 OK", "Content-Length: 5", "content-length: 5"}), h)
                    .has_value());
        CHECK(h.content_length == 5U);
    }
    SECTION("keep-alive by version and header") {
        const auto keeps = [&](std::string_view status, std::string_view connection) {
            REQUIRE(net::parse_response_head(lines({status, connection}), h).has_value());
            return h.keep_alive;
        };
        CHECK(keeps("HTTP/1.1 200 OK", "X: y"));
        CHECK_FALSE(keeps("HTTP/1.1 200 OK", "Connection: x, Close"));
        CHECK(keeps("HTTP/1.0 200 OK", "Connection: Keep-Alive"));
        CHECK_FALSE(keeps("HTTP/1.1 200 OK", "Connection: keep-alive, close"));
    }
}

TEST_CASE("ambiguous response heads are refused", "[net][head]") {
    const std::string rows[] = {
        lines({"HTTP/2.0 200 OK"}),
        lines({"HTTP/1.2 200 OK"}),
        lines({"HTTP/1.1  200 OK"}),
        lines({"HTTP/1.1 20 OK"}),
        lines({"HTTP/1.1 2000 OK"}),
        lines({"HTTP/1.1 099 OK"}),
        lines({"HTTP/1.1 +20 OK"}),
        lines({"http/1.1 200 OK"}),
        lines({"ICY 200 OK"}),
        lines({"HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 6"}),
        lines({"HTTP/1.1 200 OK", "Content-Length: 5, 5"}),
        lines({"HTTP/1.1 200 OK", "Content-Length: -5"}),
        lines({"HTTP/1.1 200 OK", "Content-Length: +5"}),
        lines({"HTTP/1.1 200 OK", "Content-Length:"}),
        lines({"HTTP/1.1 200 OK", "Content-Length: 99999999999999999999"}),
        lines({"HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"}),
        lines({"HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"}),
        lines({"HTTP/1.1 200 OK", "Transfer-Encoding: identity"}),
        lines({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}),
        lines({"HTTP/1.0 200 OK", "Transfer-Encoding: chunked"}),
        lines({"HTTP/1.1 200 OK", "A: b", " folded"}),
        lines({"HTTP/1.1 200 OK", "A : b"}),
        lines({"HTTP/1.1 200 OK", "no colon"}),
        lines({"HTTP/1.1 200 OK", ": x"}),
        lines({"HTTP/1.1 200 OK", std::string_view("A: b\0c", 6)}),
        lines({"HTTP/1.1 200 OK", "A: b\rc"}),
        lines({"HTTP/1.1 200 OK", "A: b\nC: d"}),
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\n\n",
    };
    for (const auto& text : rows) {
        INFO(text);
        response_head h;
        const auto parsed = net::parse_response_head(text, h);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error().cause == net::failure::malformed);
    }
    std::string many = "HTTP/1.1 200 OK\r\n";
    for (std::size_t i = 0; i <= limits::net_headers_max; ++i) many += "A: b\r\n";
    response_head h;
    const auto parsed = net::parse_response_head(many + "\r\n", h);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().cause == net::failure::head_too_large);
}

TEST_CASE("the end of a head is found in pieces of any size", "[net][head]") {
    const std::string text = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n";
    const std::size_t length = text.find("body");
    for (std::size_t step = 1; step <= text.size(); ++step) {
        net::head_scanner scanner;
        std::size_t seen = 0;
        bool found = false;
        while (!found && seen < text.size()) {
            seen = std::min(seen + step, text.size());
            found = scanner.scan(std::string_view(text).substr(0, seen)) == net::head_scanner::state::complete;
        }
        INFO(step);
        CHECK(found);
        CHECK(scanner.length() == length);
    }
}
