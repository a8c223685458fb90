// The routes of docs/interface.md 2.10 with the real store and volumes in memory.
#include "router/routes.hpp"

#include "base/limits.hpp"
#include "tests/router/app_fixture.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace keepstore;
using namespace keepstore::test;
using net::cancel_reason;
using router::match_route;
using router::route;

TEST_CASE("paths and methods match the routes of docs/interface.md 2.10", "[router][routes]") {
    const std::string h = foo_hash;
    CHECK(match_route("GET", "/" + h).to == route::block_read);
    CHECK(match_route("HEAD", "/" + h + "+3+Asig").locator == h + "+3+Asig");
    CHECK(match_route("GET", "//" + h).to == route::block_read);
    CHECK(match_route("PUT", "/" + h + "junk").to == route::block_write);
    CHECK(match_route("TOUCH", "/" + h).to == route::block_touch);
    CHECK(match_route("DELETE", "/" + h).to == route::block_trash);
    CHECK(match_route("PUT", "/untrash/" + h + "+3").locator == h + "+3");
    CHECK(match_route("GET", "/index").to == route::index);
    CHECK(match_route("GET", "/index/").prefix.empty());
    CHECK(match_route("HEAD", "/index/0123").prefix == "0123");
    CHECK(match_route("GET", "/mounts").to == route::mounts);
    CHECK(match_route("GET", "/mounts/u/blocks").mount_uuid == "u");
    CHECK(match_route("GET", "/mounts/u/blocks/ab").prefix == "ab");
    CHECK(match_route("PUT", "/pull").to == route::pull_list);
    CHECK(match_route("PUT", "/trash").to == route::trash_list);
    CHECK(match_route("OPTIONS", "/anything/at//all").to == route::options);
    for (const auto& [method, path] :
         std::vector<std::pair<std::string, std::string>>{{"GET", "/"},
                                                          {"GET", "/xyz"},
                                                          {"GET", ""},
                                                          {"GET", "*"},
                                                          {"GET", "/untrash"},
                                                          {"GET", "/trash"},
                                                          {"GET", "/pull"},
                                                          {"GET", "/status.json"},
                                                          {"GET", "/debug.json"},
                                                          {"GET", "/mounts/blocks/123"},
                                                          {"GET", "/mounts/"},
                                                          {"GET", "/mounts//blocks"},
                                                          {"GET", "//mounts"},
                                                          {"GET", "//index"},
                                                          {"GET", "/index/xyz"},
                                                          {"GET", "/index/" + std::string(33, 'a')},
                                                          {"GET", "/index/ABC"},
                                                          {"GET", "///" + h},
                                                          {"PUT", "//" + h},
                                                          {"TOUCH", "//" + h},
                                                          {"PUT", "/untrash//" + h},
                                                          {"GET", "/" + h.substr(1)},
                                                          {"GET", "/ACBD18DB4CC2F85CEDEF654FCCC4A4D8"},
                                                          {"GET", "/" + h + "\n"},
                                                          {"POST", "/"},
                                                          {"POST", "/" + h},
                                                          {"POST", "/trash"},
                                                          {"PROPFIND", "/"},
                                                          {"MAKE-COFFEE", "/"},
                                                          {"get", "/" + h},
                                                          {"TOUCH", "/index"},
                                                          {"DELETE", "/"}}) {
        INFO(method << " " << path);
        CHECK(match_route(method, path).to == route::none);
    }
}

TEST_CASE("unknown routes are 400 with CORS headers", "[router][routes]") {
    app_fixture f;
    fake_exchange ex("POST", "/" + foo_hash, as_admin, "foo");
    f.handle(ex);
    CHECK(ex.status() == 400);
    CHECK(ex.sent_body() == "Bad Request\n");
    CHECK(ex.sent_header("X-Content-Type-Options") == "nosniff");
    CHECK_FALSE(ex.body_was_read());
    check_cors(ex);
    CHECK(f.status_of("GET", "/" + foo_hash + "abcdefg") == 400);
}

TEST_CASE("OPTIONS is 200 and empty for any path", "[router][routes]") {
    app_fixture f;
    for (const std::string& path : std::vector<std::string>{"/", "/whatever", "/" + foo_hash, "/index"}) {
        fake_exchange ex("OPTIONS", path);
        f.handle(ex);
        CHECK(ex.status() == 200);
        CHECK(ex.sent_body().empty());
        check_cors(ex);
    }
    fake_exchange server("OPTIONS", "*");
    f.handle(server);
    CHECK(server.status() == 200);
    CHECK_FALSE(server.sent("Access-Control-Allow-Origin"));
    CHECK_FALSE(server.sent("X-Request-Id"));
}

TEST_CASE("a block is stored and read back with the right headers", "[router][routes]") {
    app_fixture f;
    fake_exchange put("PUT", "/" + foo_hash, {{"Authorization", "Bearer t"}, {"X-Keep-Desired-Replicas", "2"}}, "foo");
    f.handle(put);
    REQUIRE(put.status() == 200);
    check_cors(put);
    CHECK(put.sent_header("X-Keep-Replicas-Stored") == "1");
    CHECK(put.sent_header("X-Keep-Storage-Classes-Confirmed").ends_with("=1"));
    CHECK(put.sent_body().starts_with(foo_hash + "+3+A"));
    CHECK(put.sent_body().ends_with("\n"));
    const std::string locator = put.sent_body().substr(0, put.sent_body().size() - 1);
    const fake_exchange::headers token{{"Authorization", "Bearer t"}};

    for (const std::string slashes : {"/", "//"}) {
        fake_exchange get("GET", slashes + locator, token);
        f.handle(get);
        CHECK(get.status() == 200);
        CHECK(get.sent_body() == "foo");
        CHECK(get.announced_length() == 3);
        CHECK(get.finished());
        CHECK_FALSE(get.aborted());
        CHECK(get.sent_header("Vary") == "X-Keep-Signature");
        CHECK(get.sent_header("Content-Type") == "application/octet-stream");
        check_cors(get);
    }
    fake_exchange head("HEAD", "/" + locator, token);
    f.handle(head);
    CHECK(head.status() == 200);
    CHECK(head.announced_length() == 3);
    CHECK(head.sent_body().empty());
    CHECK(head.finished());
}

TEST_CASE("the empty block can be stored and read", "[router][routes]") {
    app_fixture f;
    fake_exchange put("PUT", "/" + md5_of_nothing.hex(), as_user, "");
    f.handle(put);
    REQUIRE(put.status() == 200);
    fake_exchange get("GET", "/" + put.sent_body().substr(0, put.sent_body().size() - 1), as_user);
    f.handle(get);
    CHECK(get.status() == 200);
    CHECK(get.announced_length() == 0);
    CHECK(get.finished());
}

TEST_CASE("storage classes are parsed from the header and confirmed in it", "[router][routes]") {
    app_fixture f;
    const auto confirmed = [&](const std::string& wanted) {
        fake_exchange ex("PUT", "/" + foo_hash, {{"X-Keep-Storage-Classes", wanted}}, "foo");
        f.handle(ex);
        return std::to_string(ex.status()) + " " + ex.sent_header("X-Keep-Replicas-Stored") + " " +
               ex.sent_header("X-Keep-Storage-Classes-Confirmed");
    };
    CHECK(confirmed("testclass1") == "200 1 testclass1=1");
    CHECK(confirmed(" , testclass2 , ") == "200 1 testclass2=1");
    CHECK(confirmed("testclass1, testclass2") == "200 2 testclass1=1, testclass2=1");
    CHECK(confirmed("unknown") == "507  ");
}

TEST_CASE("reads are refused in the order of docs/interface.md 2.11", "[router][routes]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    const auto get = [&](const std::string& text, fake_exchange::headers hs, const std::string& method = "GET") {
        fake_exchange ex(method, "/" + text, std::move(hs));
        f.handle(ex);
        check_cors(ex);
        return std::to_string(ex.status()) + " " + ex.sent_body();
    };
    CHECK(get(locator, as_user) == "200 foo");
    CHECK(get(locator, {}) == "401 no token provided in Authorization header\n");
    CHECK(get(locator + "?api_token=", {}) == "401 no token provided in Authorization header\n");
    CHECK(get(locator, {{"Authorization", "Bearer other"}}) == "400 invalid signature\n");
    CHECK(get(foo_hash, as_user).starts_with("405"));
    CHECK(get(foo_hash + "+3", {}, "HEAD").starts_with("401"));
    CHECK(get(foo_hash + "abc", as_user).starts_with("400"));
    CHECK(get(foo_hash + "++", as_user).starts_with("400"));
    // Another cluster's block.
    CHECK(get(foo_hash + "+3+Rzzzzz-abc@123", {}) == "401 no token provided in Authorization header\n");
    CHECK(get(foo_hash + "+3+Rzzzzz-abc@123", as_user) == "400 remote cluster not configured\n");
    CHECK(get(foo_hash + "+3+Rzz", as_user) == "400 invalid remote hint\n");
}

TEST_CASE("without signing every reader gets the block, and HEAD needs no size", "[router][routes]") {
    auto options = default_store_options();
    options.blob_signing = false;
    options.blob_signing_key.clear();
    app_fixture f(default_app_options(), options);
    CHECK(f.put_foo() == foo_hash + "+3");
    CHECK(f.status_of("GET", "/" + foo_hash + "+3") == 200);
    CHECK(f.status_of("GET", "/" + foo_hash) == 405);
    fake_exchange head("HEAD", "/" + foo_hash);
    f.handle(head);
    CHECK(head.status() == 200);
    CHECK(head.announced_length() == 3);
    CHECK(f.body_of("/" + std::string(32, 'a') + "+3") == "file does not exist\n");
}

TEST_CASE("a corrupt block is a 502 before the first byte", "[router][routes][integrity]") {
    app_fixture f;
    const std::string locator = f.put_foo();
    f.volume0->plant(foo, "bar");
    f.volume1->plant(foo, "bar");
    for (const std::string method : {"GET", "HEAD"}) {
        fake_exchange ex(method, "/" + locator, as_user);
        f.handle(ex);
        CHECK(ex.status() == 502);
        CHECK_FALSE(ex.aborted());
        check_cors(ex);
    }
}

TEST_CASE("wrong and too large bodies are refused", "[router][routes]") {
    app_fixture f;
    fake_exchange wrong("PUT", "/" + foo_hash + "+3", as_user, "bar");
    f.handle(wrong);
    CHECK(wrong.status() == 400);
    CHECK(wrong.sent_body() ==
          "content hash 37b51d194a7513e45b56f6524f2d51f2 did not match specified locator " + foo_hash + "+3\n");
    CHECK_FALSE(f.volume0->content(foo));
    CHECK_FALSE(f.volume1->content(foo));

    fake_exchange large("PUT", "/" + foo_hash, as_user, "foo");
    large.edit_head().content_length = limits::block_size_bytes_max + 1;
    f.handle(large);
    CHECK(large.status() == 413);
    CHECK(large.sent_body() == "request entity too large\n");
    CHECK_FALSE(large.body_was_read());
}

TEST_CASE("a client that disconnects in mid-body leaves no block, chunk or place", "[router][routes][cancel]") {
    app_fixture f;
    fake_exchange put("PUT", "/" + foo_hash, as_user, "foo");
    put.fail_body_after(2, errc::cancelled);
    put.cancel_with(cancel_reason::client_gone);
    f.handle(put);
    CHECK(put.status() == 499);
    CHECK(put.sent_body().empty());
    check_cors(put);
    CHECK_FALSE(f.volume0->content(foo));
    CHECK(f.pool.snapshot().in_use_bytes == 0);
    CHECK(f.body_of("/metrics", as_manager).contains("arvados_concurrent_requests{queue=\"api\"} 0\n"));

    const std::string locator = f.put_foo();
    fake_exchange get("GET", "/" + locator, as_user);
    get.client_leaves_after(1);
    f.handle(get);
    CHECK(get.aborted());
    CHECK(f.pool.snapshot().in_use_bytes == 0);
}

TEST_CASE("a deadline that passes before anything was sent is a 503", "[router][routes][timeout]") {
    app_fixture f;
    fake_exchange put("PUT", "/" + foo_hash, as_user, "foo");
    put.fail_body_after(1, errc::cancelled);
    put.cancel_with(cancel_reason::request_deadline);
    f.handle(put);
    CHECK(put.status() == 503);
    CHECK(put.sent_body() == "request deadline exceeded\n");
}
