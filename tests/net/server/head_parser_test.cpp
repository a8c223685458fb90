#include "net/server/head_parser.hpp"
#include "net/http/head_scanner.hpp"
#include "net/limits.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace keepstore;
using net::head_scanner;
using net::parse_head;
using net::parsed_head;

namespace {

struct refused_row {
    std::string text;
    unsigned status;
    std::string_view body;  ///< Empty: not checked.
};

std::string with_header(const std::string& lines) {
    return "GET / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n\r\n";
}
std::string with_line(const std::string& line) {
    return line + "\r\nHost: h\r\n\r\n";
}

}  // namespace

TEST_CASE("malformed and ambiguous heads are refused", "[router][head]") {
    using namespace std::string_literals;
    const std::vector<refused_row> rows{
        // Request line.
        {with_line("GET /"), 400, ""},
        {with_line("GET"), 400, ""},
        {with_line(" GET / HTTP/1.1"), 400, ""},
        {with_line("GET  / HTTP/1.1"), 400, ""},
        {with_line("GET /  HTTP/1.1"), 400, ""},
        {with_line("GET / HTTP/1.1 "), 400, ""},
        {with_line("GET / x HTTP/1.1"), 400, ""},
        {with_line("GET\t/ HTTP/1.1"), 400, ""},
        {with_line("G(T / HTTP/1.1"), 400, "400 Bad Request: malformed method"},
        {with_line("GET /a\0b HTTP/1.1"s), 400, ""},
        {with_line("GET /a\x7f HTTP/1.1"), 400, ""},
        {with_line("GET /a\x01 HTTP/1.1"), 400, ""},
        {with_line("GET /a\rb HTTP/1.1"), 400, ""},
        {with_line("GET /a#b HTTP/1.1"), 400, ""},
        {with_line("GET a HTTP/1.1"), 400, ""},
        {with_line("GET h:80 HTTP/1.1"), 400, ""},
        {with_line("GET ftp://h/ HTTP/1.1"), 400, ""},
        {with_line("GET http:///x HTTP/1.1"), 400, ""},
        {with_line("GET http://u@h/x HTTP/1.1"), 400, ""},
        {with_line("GET http://h HTTP/1.1"), 400, "400 Bad Request: request target without a path"},
        {with_line("GET http://h?a=/ HTTP/1.1"), 400, ""},
        {with_line("CONNECT h:80 HTTP/1.1"), 400, ""},
        {with_line("CONNECT / HTTP/1.1"), 400, ""},
        {with_line("GET /% HTTP/1.1"), 400, ""},
        {with_line("GET /%4 HTTP/1.1"), 400, ""},
        {with_line("GET /%zz HTTP/1.1"), 400, "400 Bad Request: malformed percent encoding"},
        {with_line("GET / http/1.1"), 400, "400 Bad Request: malformed HTTP version"},
        {with_line("GET / HTTP/1"), 400, ""},
        {with_line("GET / HTTP/1.10"), 400, ""},
        {with_line("GET / HTTP/a.b"), 400, ""},
        {with_line("GET / HTTQ/1.1"), 400, ""},
        {with_line("GET / HTTP/0.9"), 505, ""},
        {with_line("GET / HTTP/1.2"), 505, ""},
        {with_line("GET / HTTP/2.0"), 505, "505 HTTP Version Not Supported: unsupported protocol version"},
        {"PRI * HTTP/2.0\r\n\r\n", 505, ""},
        {"\r\n\r\n", 400, ""},
        {"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
        {"", 400, ""},
        {"GET / HTTP/1.1\r\nHost: h\r\n", 400, ""},
        // Line ends and header syntax.
        {"GET / HTTP/1.1\nHost: h\n\n", 400, ""},
        {"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, ""},
        {"GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", 400, ""},
        {with_header("A: b\r\n c"), 400, "400 Bad Request: folded header line"},
        {with_header("A: b\r\n\tc"), 400, ""},
        {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, ""},
        {with_header("A : b"), 400, "400 Bad Request: invalid header name"},
        {with_header("A\t: b"), 400, ""},
        {with_header(": b"), 400, ""},
        {with_header("A"), 400, ""},
        {with_header("A b: c"), 400, ""},
        {with_header("A(: c"), 400, ""},
        {with_header("\xc3\xa4: c"), 400, ""},
        {with_header("A: b\0c"s), 400, "400 Bad Request: invalid header value"},
        {with_header("A: b\x1b[31m"), 400, ""},
        {with_header("A: b\x7f"), 400, ""},
        // Host.
        {"GET / HTTP/1.1\r\n\r\n", 400, "400 Bad Request: missing required Host header"},
        {with_header("Host: h"), 400, "400 Bad Request: too many Host headers"},
        {with_header("host: i"), 400, ""},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "400 Bad Request: malformed Host header"},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, ""},
        // Framing.
        {with_header("Content-Length: 5\r\nContent-Length: 5"), 400, "400 Bad Request: more than one Content-Length"},
        {with_header("Content-Length: 5\r\nContent-Length: 6"), 400, ""},
        {with_header("Content-Length: 5, 5"), 400, "400 Bad Request: malformed Content-Length"},
        {with_header("Content-Length: +5"), 400, ""},
        {with_header("Content-Length: -5"), 400, ""},
        {with_header("Content-Length: 0x5"), 400, ""},
        {with_header("Content-Length: 5 5"), 400, ""},
        {with_header("Content-Length:"), 400, ""},
        {with_header("Content-Length: five"), 400, ""},
        {with_header("Content-Length: 18446744073709551616"), 400, ""},
        {with_header("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400, ""},
        {with_header("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400, ""},
        {"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, ""},
        {with_header("Transfer-Encoding: identity"), 501, "Unsupported transfer encoding"},
        {with_header("Transfer-Encoding: gzip, chunked"), 501, ""},
        {with_header("Transfer-Encoding: chunked, chunked"), 501, ""},
        {with_header("Transfer-Encoding: chunked, identity"), 501, ""},
        {with_header("Transfer-Encoding: xchunked"), 501, ""},
        {with_header("Transfer-Encoding: chunked;q=1"), 501, ""},
        {with_header("Transfer-Encoding: \"chunked\""), 501, ""},
        {with_header("Transfer-Encoding:"), 501, ""},
        {with_header("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 501, ""},
        {with_header("Expect: 200-ok"), 417, ""},
        {with_header("A: " + std::string(limits::request_head_bytes_max, 'a')), 431, ""},
    };
    REQUIRE(rows.size() >= 60);
    for (const auto& row : rows) {
        INFO(row.text);
        parsed_head parsed;
        const auto refusal = parse_head(row.text, parsed);
        REQUIRE(refusal.has_value());
        CHECK(refusal->status == row.status);
        if (!row.body.empty()) CHECK(refusal->body == row.body);
        CHECK(refusal->body.find('\n') == std::string::npos);
    }
    std::string many;
    for (std::size_t i = 0; i < limits::request_headers_max; ++i) many += "a:b\r\n";
    parsed_head parsed;
    CHECK(parse_head("GET / HTTP/1.1\r\nHost: h\r\n" + many + "\r\n", parsed)->status == 431);
}

TEST_CASE("well-formed heads are parsed", "[router][head]") {
    parsed_head p;
    SECTION("all parts") {
        REQUIRE_FALSE(
            parse_head("PUT /a%2Fb%20c?x=%41&y HTTP/1.1\r\nHost: h:1\r\nX-Two:  v w \t\r\ncontent-LENGTH: 007\r\n"
                       "Expect: 100-Continue\r\nX-Empty:\r\nX-8: \xff\r\n\r\n",
                       p));
        CHECK(p.head.method == "PUT");
        CHECK(p.head.target == "/a%2Fb%20c?x=%41&y");
        CHECK(p.head.path == "/a/b c");
        CHECK(p.head.query == "x=%41&y");
        CHECK(p.head.version == 11);
        CHECK(p.head.get("x-two") == "v w");
        CHECK(p.head.has("X-EMPTY"));
        CHECK(p.head.get("x-8") == "\xff");
        CHECK(p.head.content_length == 7);
        CHECK_FALSE(p.head.chunked);
        CHECK(p.expects_continue);
        CHECK(p.keep_alive);
        CHECK(p.head.headers.size() == 6);
    }
    SECTION("nothing remains of the previous head") {
        REQUIRE_FALSE(
            parse_head("PUT /a?q HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n", p));
        REQUIRE_FALSE(parse_head("GET /b HTTP/1.0\r\n\r\n", p));
        CHECK(p.head.path == "/b");
        CHECK(p.head.query.empty());
        CHECK(p.head.version == 10);
        CHECK_FALSE(p.head.content_length.has_value());
        CHECK_FALSE(p.expects_continue);
        CHECK_FALSE(p.keep_alive);
        CHECK(p.head.headers.empty());
    }
    SECTION("chunked, in any case of letters") {
        REQUIRE_FALSE(parse_head("PUT / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: ChunKed \r\n\r\n", p));
        CHECK(p.head.chunked);
    }
    SECTION("absolute form") {
        REQUIRE_FALSE(parse_head("GET HTTP://other:1/x?y HTTP/1.1\r\nHost: h\r\n\r\n", p));
        CHECK(p.head.target == "/x?y");
        CHECK(p.head.path == "/x");
        CHECK(p.head.query == "y");
        CHECK(p.head.get("Host") == "other:1");
    }
    SECTION("asterisk") {
        REQUIRE_FALSE(parse_head("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", p));
        CHECK(p.options_asterisk);
        REQUIRE_FALSE(parse_head("GET * HTTP/1.1\r\nHost: h\r\n\r\n", p));
        CHECK_FALSE(p.options_asterisk);
    }
    SECTION("Connection") {
        REQUIRE_FALSE(parse_head("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", p));
        CHECK_FALSE(p.keep_alive);
        REQUIRE_FALSE(parse_head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", p));
        CHECK(p.keep_alive);
    }
    SECTION("request identifiers that are not identifiers are dropped") {
        REQUIRE_FALSE(parse_head(with_header("X-Request-Id: req-1"), p));
        CHECK(p.head.get("X-Request-Id") == "req-1");
        REQUIRE_FALSE(parse_head(with_header("X-Request-Id: " + std::string(129, 'a')), p));
        CHECK_FALSE(p.head.has("X-Request-Id"));
        REQUIRE_FALSE(parse_head(with_header("X-Request-Id: a b"), p));
        CHECK_FALSE(p.head.has("X-Request-Id"));
        REQUIRE_FALSE(parse_head(with_header("X-Request-Id: \xc3\xa4"), p));
        CHECK_FALSE(p.head.has("X-Request-Id"));
    }
    SECTION("other methods") {
        REQUIRE_FALSE(parse_head("TOUCH /x HTTP/1.1\r\nHost: h\r\n\r\n", p));
        CHECK(p.head.method == "TOUCH");
    }
}

TEST_CASE("the end of a head is found in any pieces", "[router][head]") {
    const std::string head = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    const std::string text = head + "body\n\n";
    head_scanner bytewise;
    for (std::size_t n = 1; n < head.size(); ++n) {
        REQUIRE(bytewise.scan(std::string_view(text).substr(0, n)) == head_scanner::state::incomplete);
    }
    CHECK(bytewise.scan(text) == head_scanner::state::complete);
    CHECK(bytewise.length() == head.size());
    for (const auto* bad : {"\r\n", "\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nA: b\n"}) {
        head_scanner s;
        CHECK(s.scan(bad) == head_scanner::state::malformed);
    }
}
