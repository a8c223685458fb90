// GET of a part of a block, with the real store and volumes in memory.
#include "tests/router/app_fixture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::test;

namespace {

fake_exchange::headers with(const fake_exchange::headers& first, fake_exchange::headers more) {
    more.insert(more.begin(), first.begin(), first.end());
    return more;
}

/// Status, Content-Range and body.
std::string response_of(app_fixture& f, const std::string& locator, fake_exchange::headers headers,
                        const std::string& method = "GET") {
    fake_exchange ex(method, "/" + locator, with(as_user, std::move(headers)));
    f.handle(ex);
    CHECK_FALSE(ex.aborted());
    if (ex.status() == 200 || ex.status() == 206) {
        CHECK(ex.finished());
        CHECK(ex.sent_header("Accept-Ranges") == "bytes");
        CHECK(ex.sent_header("ETag") == "\"" + locator.substr(0, 32) + "\"");
        CHECK(ex.sent_header("Vary") == "X-Keep-Signature");
        CHECK(ex.sent_header("Content-Type") == "application/octet-stream");
        if (method == "GET") CHECK(ex.announced_length() == ex.sent_body().size());
    }
    return std::to_string(ex.status()) + " " + ex.sent_header("Content-Range") + " " + ex.sent_body();
}

}  // namespace

TEST_CASE("one range of a block is a 206", "[router][range]") {
    app_fixture f;
    const std::string foo_locator = f.put_foo();
    const auto get = [&](const std::string& range) { return response_of(f, foo_locator, {{"Range", range}}); };
    CHECK(response_of(f, foo_locator, {}) == "200  foo");
    CHECK(get("bytes=0-0") == "206 bytes 0-0/3 f");
    CHECK(get("bytes=1-1") == "206 bytes 1-1/3 o");
    CHECK(get("bytes=1-") == "206 bytes 1-2/3 oo");
    CHECK(get("bytes=2-99") == "206 bytes 2-2/3 o");
    CHECK(get("bytes=-2") == "206 bytes 1-2/3 oo");
    CHECK(get("bytes=-99") == "206 bytes 0-2/3 foo");
    CHECK(get("bytes=0-2") == "206 bytes 0-2/3 foo");
    CHECK(get("bytes=0-99999999999999999999999") == "206 bytes 0-2/3 foo");
    // Ignored.
    CHECK(get("bytes=0-0,2-2") == "200  foo");
    CHECK(get("bytes=2-1") == "200  foo");
    CHECK(get("items=0-0") == "200  foo");
    // Past the end.
    const std::string refusal = "416 bytes */3 requested range not satisfiable\n";
    CHECK(get("bytes=3-") == refusal);
    CHECK(get("bytes=3-4") == refusal);
    CHECK(get("bytes=-0") == refusal);
    CHECK(get("bytes=99999999999999999999999-") == refusal);
    CHECK(f.pool.snapshot().in_use_bytes == 0);
}

TEST_CASE("HEAD ignores Range and announces Accept-Ranges", "[router][range]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    fake_exchange head("HEAD", "/" + locator, with(as_user, {{"Range", "bytes=0-0"}}));
    f.handle(head);
    CHECK(head.status() == 200);
    CHECK(head.announced_length() == 3);
    CHECK(head.sent_header("Accept-Ranges") == "bytes");
    CHECK(head.sent_header("ETag") == "\"" + foo_hash + "\"");
    CHECK_FALSE(head.sent("Content-Range"));
}

TEST_CASE("If-Range honours the range for this content only", "[router][range]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    const auto get = [&](const std::string& condition) {
        return response_of(f, locator, {{"Range", "bytes=1-1"}, {"If-Range", condition}});
    };
    CHECK(get("\"" + foo_hash + "\"") == "206 bytes 1-1/3 o");
    CHECK(get("W/\"" + foo_hash + "\"") == "200  foo");
    CHECK(get("\"37b51d194a7513e45b56f6524f2d51f2\"") == "200  foo");
    CHECK(get("Sat, 21 Nov 2026 04:02:07 GMT") == "200  foo");
    // A range that would be refused is ignored too.
    CHECK(response_of(f, locator, {{"Range", "bytes=9-"}, {"If-Range", "\"x\""}}) == "200  foo");
}

TEST_CASE("the empty block has no range", "[router][range]") {
    app_fixture f;
    fake_exchange put("PUT", "/" + md5_of_nothing.hex(), as_user, "");
    f.handle(put);
    const std::string locator = put.sent_body().substr(0, put.sent_body().size() - 1);
    CHECK(response_of(f, locator, {}) == "200  ");
    for (const std::string range : {"bytes=0-", "bytes=0-0", "bytes=-1", "bytes=5-9"}) {
        CHECK(response_of(f, locator, {{"Range", range}}) == "416 bytes */0 requested range not satisfiable\n");
    }
}

TEST_CASE("unauthorized reads and reads of missing blocks ignore Range", "[router][range]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    const auto status = [&](const std::string& text, fake_exchange::headers headers) {
        fake_exchange ex("GET", "/" + text, with({{"Range", "bytes=9-"}}, std::move(headers)));
        f.handle(ex);
        CHECK_FALSE(ex.sent("Content-Range"));
        return ex.status();
    };
    CHECK(status(locator, {}) == 401);
    CHECK(status(locator, {{"Authorization", "Bearer other"}}) == 400);
    CHECK(status(foo_hash, as_user) == 405);
    CHECK(status(foo_hash + "+3+Rzzzzz-abc@123", as_user) == 400);
    REQUIRE(f.status_of("GET", "/" + locator, with({{"Range", "bytes=9-"}}, as_user)) == 416);
    f.volume0->plant(foo, "foo", memory_volume::now() - std::chrono::hours(1000));
    f.volume1->plant(foo, "foo", memory_volume::now() - std::chrono::hours(1000));
    CHECK(f.status_of("DELETE", "/" + foo_hash, as_admin) == 200);
    CHECK(status(locator, as_user) == 404);
}

TEST_CASE("a slow reader gets the right range", "[router][range]") {
    app_fixture f;
    std::string content(1'000'000, '\0');
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>((i * 2654435761u) >> 13);
    const std::string hash = digest::md5_of(std::as_bytes(std::span(content))).hex();
    fake_exchange put("PUT", "/" + hash, as_user, content);
    f.handle(put);
    REQUIRE(put.status() == 200);
    const std::string locator = put.sent_body().substr(0, put.sent_body().size() - 1);
    const auto check = [&](const std::string& range, std::size_t first, std::size_t size) {
        INFO(range);
        fake_exchange ex("GET", "/" + locator, with(as_user, {{"Range", range}}));
        ex.take_at_most(50'021);
        f.handle(ex);
        CHECK(ex.status() == 206);
        CHECK((ex.sent_body() == content.substr(first, size)));
        CHECK(ex.announced_length() == size);
        CHECK(ex.finished());
    };
    check("bytes=0-", 0, 1'000'000);
    check("bytes=1-999998", 1, 999'998);
    check("bytes=262143-262144", 262'143, 2);
    check("bytes=-700000", 300'000, 700'000);
    check("bytes=999999-", 999'999, 1);
    CHECK(f.pool.snapshot().in_use_bytes == 0);
}
