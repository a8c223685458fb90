/// One GET of a block: the request, and which responses begin a block. Servers send their heads byte by byte as given.
#include "protocol/block_fetch.hpp"

#include "tests/net/client/script_server.hpp"
#include "tests/net/client/tls_identity.hpp"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <cstring>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;
using protocol::open_block;

namespace {

/// What becomes of one GET.
struct fetched {
    std::optional<error> failed;
    std::uint64_t size = 0;
    std::string body;  ///< Its bytes, then whatever expect_end() says.
    std::optional<error> end;

    [[nodiscard]] errc code() const { return failed->code; }
};

awaitable<fetched> fetch(const net::client& client, protocol::block_server from, protocol::block_fetch what,
                         deadline until) {
    fetched out;
    auto block = co_await open_block(client, std::move(from), std::move(what), until);
    if (!block) {
        out.failed = std::move(block.error());
        co_return out;
    }
    out.size = block->size;
    out.body.resize(static_cast<std::size_t>(std::min<std::uint64_t>(block->size, 1000)));
    const auto count = co_await block->response.read_full(std::as_writable_bytes(std::span(out.body)));
    out.body.resize(count.value_or(0));
    const auto end = co_await protocol::expect_end(*block);
    if (!end) out.end = end.error();
    co_return out;
}

fetched fetch_once(const net::endpoint& to, protocol::block_fetch what, const net::client_options& options = {},
                   deadline until = deadline::in(40s)) {
    const auto client = make_client(options);
    return run(fetch(client, {.to = to, .path = "/"}, std::move(what), until));
}

/// A server with this response to every request.
fetched fetch_from(const std::string& response, std::optional<std::uint64_t> size, bool tell_bad_copies = false) {
    script_server server([&](peer& p, int) {
        if (!p.head().empty()) p.send(response);
    });
    return fetch_once(server.to(), {.locator = "x", .size = size, .timing = {}, .tell_bad_copies = tell_bad_copies});
}

std::string head(const std::string& lines, unsigned status = 200) {
    return fmt::format("HTTP/1.1 {} X\r\n{}\r\n", status, lines);
}

const std::string chunked = "Transfer-Encoding: chunked\r\n";

}  // namespace

TEST_CASE("the size of a block is that of its locator, and one that a server announces must agree",
          "[protocol][fetch]") {
    constexpr std::uint64_t most = limits::block_size_bytes_max;
    struct row {
        std::string what;
        std::string response;
        std::optional<std::uint64_t> size;
        std::optional<std::uint64_t> expected;  ///< nullopt: an error.
        errc why = errc::checksum_mismatch;
    };
    const auto length = [](auto n) { return head(fmt::format("Content-Length: {}\r\n", n)); };
    const row rows[] = {
        {"as in the locator", length(3) + "foo", 3, 3},
        {"known from the server alone", length(3) + "foo", {}, 3},
        {"known from the locator alone", head(chunked) + "3\r\nfoo\r\n0\r\n\r\n", 3, 3},
        {"known from the locator alone, until the connection ends", head("Connection: close\r\n") + "foo", 3, 3},
        {"empty", length(0), 0, 0},
        {"more", length(4) + "food", 3, {}},
        {"fewer", length(2) + "fo", 3, {}},
        {"none", length(0), 3, {}},
        {"some of an empty block", length(1) + "f", 0, {}},
        {"not known", head(chunked) + "3\r\nfoo\r\n0\r\n\r\n", {}, {}},
        {"not known, until the connection ends", head("Connection: close\r\n") + "foo", {}, {}},
        {"the largest", length(most), {}, most},
        {"the largest, as in the locator", length(most), most, most},
        {"over the limit", length(most + 1), {}, {}},
        {"over the limit, as in the locator", length(most + 1), most + 1, {}},
        {"over the limit, known from the locator alone", head(chunked), most + 1, {}},
        {"no number", length("three") + "foo", 3, {}, errc::unavailable},
        {"negative", length("-3") + "foo", 3, {}, errc::unavailable},
        {"two sizes", head("Content-Length: 3\r\nContent-Length: 4\r\n") + "foo", 3, {}, errc::unavailable},
        {"no HTTP", "foo", 3, {}, errc::unavailable},
        {"nothing", "", 3, {}, errc::unavailable},
    };
    for (const auto& r : rows) {
        INFO(r.what);
        const auto got = fetch_from(r.response, r.size);
        REQUIRE(got.failed.has_value() == !r.expected.has_value());
        if (r.expected) {
            CHECK(got.size == *r.expected);
        } else {
            CHECK(got.code() == r.why);
        }
    }
}

TEST_CASE("a body that goes on after the block is found at its end, one that breaks off is no wrong block",
          "[protocol][fetch]") {
    const auto ended = [](const std::string& body, bool is_chunked = true) {
        const auto got = fetch_from(head(is_chunked ? chunked : "Connection: close\r\n") + body, 3);
        REQUIRE(!got.failed);
        CHECK(got.body == "foo");
        return got.end;
    };
    CHECK(!ended("3\r\nfoo\r\n0\r\n\r\n"));
    CHECK(!ended("foo", false));
    CHECK(ended("4\r\nfood\r\n0\r\n\r\n")->code == errc::checksum_mismatch);
    CHECK(ended("3\r\nfoo\r\n1\r\nd\r\n0\r\n\r\n")->code == errc::checksum_mismatch);
    CHECK(ended("food", false)->code == errc::checksum_mismatch);
    CHECK(ended("3\r\nfoo\r\n")->code == errc::unavailable);
    CHECK(ended("3\r\nfoo\r\nno size\r\n")->code == errc::unavailable);
}

TEST_CASE("only a status that may pass is worth another attempt", "[protocol][fetch]") {
    struct row {
        unsigned status;
        errc expected;
        bool again;
    };
    const row rows[] = {
        {204, errc::unavailable, true}, {206, errc::unavailable, true}, {301, errc::unavailable, true},
        {302, errc::unavailable, true}, {307, errc::unavailable, true}, {400, errc::not_found, false},
        {401, errc::not_found, false},  {403, errc::not_found, false},  {404, errc::not_found, false},
        {405, errc::not_found, false},  {408, errc::unavailable, true}, {410, errc::not_found, false},
        {422, errc::not_found, false},  {429, errc::unavailable, true}, {500, errc::unavailable, true},
        {502, errc::unavailable, true}, {503, errc::unavailable, true}, {504, errc::unavailable, true},
    };
    for (const auto& [status, expected, again] : rows) {
        INFO(status);
        const auto got = fetch_from(head(status == 204 ? "" : "Content-Length: 0\r\n", status), 0);
        REQUIRE(got.failed);
        CHECK(got.code() == expected);
        CHECK(protocol::may_pass(*got.failed) == again);
        // Whether to look for a key or a clock, or for a block.
        const bool refused = expected == errc::not_found && status != 404;
        CHECK((got.failed->cause == std::make_error_code(std::errc::permission_denied)) == refused);
        CHECK(got.failed->text.contains(status >= 300 && status < 400 ? "redirect" : std::to_string(status)));
    }
}

TEST_CASE("a server that says that its copies are bad is told from one that fails, if this is asked for",
          "[protocol][fetch]") {
    const auto said = [](const std::string& body, bool tell) {
        return fetch_from(head(fmt::format("Content-Length: {}\r\n", body.size()), 502) + body, 3, tell).code();
    };
    CHECK(said("checksum mismatch in stored data\n", true) == errc::checksum_mismatch);
    CHECK(said("checksum mismatch in stored data\n", false) == errc::unavailable);
    CHECK(said("bad gateway: checksum mismatch\n", true) == errc::unavailable);
    CHECK(said("", true) == errc::unavailable);
}

TEST_CASE("the request for a block has its token, and no byte of the locator outside its path", "[protocol][fetch]") {
    std::string seen;
    script_server server([&](peer& p, int) {
        seen = p.head();
        p.answer("foo");
    });
    const auto client = make_client();
    const auto ask = [&](const std::string& locator, const std::string& request_id) {
        const auto got = run(fetch(client, {.to = server.to(), .path = "/keep/"},
                                   {.locator = locator, .token = "secret", .request_id = request_id, .timing = {}},
                                   deadline::in(40s)));
        CHECK(got.body == "foo");
        return seen;
    };
    const auto plain = ask("acbd+3+A0@1-_.~", "req-1");
    CHECK(plain.starts_with("GET /keep/acbd+3+A0@1-_.~ HTTP/1.1\r\n"));
    CHECK(plain.contains("\r\nAuthorization: Bearer secret\r\n"));
    CHECK(plain.contains("\r\nX-Request-Id: req-1\r\n"));
    const auto odd = ask("acbd+3+Ka/../b?c#d%e \x7f\xff", "");
    CHECK(odd.starts_with("GET /keep/acbd+3+Ka%2F..%2Fb%3Fc%23d%25e%20%7F%FF HTTP/1.1\r\n"));
    CHECK(!odd.contains("X-Request-Id"));
}

TEST_CASE("URLs of keep services may have a path, and no query", "[protocol][fetch]") {
    const auto where = [](std::string_view url) {
        const auto parsed = protocol::parse_block_server(url);
        return parsed ? net::to_string(parsed->to) + " " + parsed->path : std::string("refused");
    };
    CHECK(where("http://keep") == "http://keep:80 /");
    CHECK(where("http://keep:25107/") == "http://keep:25107 /");
    CHECK(where("https://keep/proxy") == "https://keep:443 /proxy/");
    CHECK(where("https://keep/proxy/") == "https://keep:443 /proxy/");
    CHECK(where("http://keep?x=1") == "refused");
    CHECK(where("http://keep/?") == "refused");
    CHECK(where("http://keep/proxy?x=/") == "refused");
    // A fragment is not sent, and hides nothing that is.
    CHECK(where("http://keep/proxy#fragment") == "http://keep:80 /proxy/");
    CHECK(where("http://keep#@other/") == "http://keep:80 /");
    CHECK(where("http://keep/#?x=1") == "http://keep:80 /");
    CHECK(where("http://keep/?x=1#") == "refused");
    CHECK(where("keep:25107") == "refused");
}

TEST_CASE("a server without a good certificate, and time that is over, are not worth another attempt",
          "[protocol][fetch]") {
    const tls_files files;
    const auto serve = [](peer& p, int) {
        while (!p.head().empty()) p.answer("foo");
    };
    const protocol::block_fetch what{.locator = "x", .size = 3, .timing = {}};
    const auto good = serve_as(make_identity(&files.authority(), "IP:127.0.0.1"));
    const auto other_name = serve_as(make_identity(&files.authority(), "DNS:other.example"));
    const auto expired = serve_as(make_identity(&files.authority(), "IP:127.0.0.1", -7200, -3600));
    const auto own = serve_as(make_identity(nullptr, "IP:127.0.0.1"));
    for (SSL_CTX* const bad : {other_name.get(), expired.get(), own.get()}) {
        script_server server(serve, bad);
        const auto got = fetch_once(server.to(), what, {.ca_file = files.ca_file});
        REQUIRE(got.failed);
        CHECK(got.code() == errc::unavailable);
        CHECK(got.failed->cause == net::failure::certificate);
        CHECK(got.failed->text.contains("certificate"));
        CHECK(!protocol::may_pass(*got.failed));
    }
    script_server server(serve, good.get());
    CHECK(fetch_once(server.to(), what, {.ca_file = files.ca_file}).body == "foo");

    script_server silent([](peer& p, int) { p.wait_closed(); });
    const auto late = fetch_once(silent.to(), what, {}, deadline::in(200ms));
    REQUIRE(late.failed);
    CHECK(late.code() == errc::timeout);
    CHECK(!protocol::may_pass(*late.failed));
    // Silence itself may pass.
    const auto quiet = fetch_once(silent.to(), {.locator = "x", .size = 3, .timing = {.first_byte = 200ms}});
    REQUIRE(quiet.failed);
    CHECK(quiet.code() == errc::timeout);
    CHECK(protocol::may_pass(*quiet.failed));
}
