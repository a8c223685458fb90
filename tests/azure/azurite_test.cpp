/// The client against a real Blob service: Azurite.
#include "azure/probe.hpp"
#include "cloud/probe.hpp"
#include "tests/azure/container_fixture.hpp"
#include "tests/support/azure_server.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;
using cloud::md5_of;

namespace {

client_options options_of(const azure_server& server, const std::string& container) {
    client_options out;
    out.endpoint = server.endpoint;
    out.account = server.account;
    out.container = container;
    return out;
}

client client_of(const azure_server& server, const std::string& container) {
    return make_container(options_of(server, container), *parse_account_key(server.key));
}

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    std::uint32_t x = 1;
    for (auto& c : out) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
    return out;
}

put_options checked(const std::string& content) {
    put_options out;
    out.md5 = md5_of(content);
    return out;
}

}  // namespace

TEST_CASE("a real container passes the probe", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container container(*server);
    std::string lines;
    const auto take = [&](const probe_line& line) { lines += to_text(line) + "\n"; };
    const bool good = run(probe_container(options_of(*server, container.name()), *parse_account_key(server->key),
                                          probe_extent::read_and_write, take, soon()));
    INFO(lines);
    CHECK(good);
    CHECK_FALSE(lines.contains("FAILED: "));
    CHECK_FALSE(lines.contains("note: "));
}

TEST_CASE("the error codes of a real service are classified", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container container(*server);
    const auto missing = client_of(*server, "no-such-container-here");
    CHECK(kind(run(missing.head("k", soon()))) == error_kind::no_such_bucket);
    CHECK(kind(run(missing.put("k", text_body("x"), {}, soon()))) == error_kind::no_such_bucket);
    CHECK(kind(run(missing.list({}, soon()))) == error_kind::no_such_bucket);
    CHECK(kind(run(missing.head_container(soon()))) == error_kind::no_such_bucket);

    const auto there = client_of(*server, container.name());
    CHECK(kind(run(there.head("k", soon()))) == error_kind::not_found);
    CHECK(kind(run(get_text(there, "k"))) == error_kind::not_found);
    CHECK(run(there.del("k", {}, soon())).has_value());
    CHECK(kind(run(there.put("k", text_body("hello"), checked("other"), soon()))) == error_kind::bad_digest);
    CHECK(kind(run(there.head("k", soon()))) == error_kind::not_found);

    // Azure says AuthenticationFailed, Azurite AuthorizationFailure.
    const auto wrong = make_container(options_of(*server, container.name()), account_key());
    const auto refused = kind(run(wrong.list({}, soon())));
    CHECK((refused == error_kind::bad_credentials || refused == error_kind::access_denied));
}

TEST_CASE("blobs are written, read in ranges, described and deleted", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container name(*server);
    const auto container = client_of(*server, name.name());
    const auto content = pattern(3'000'000);
    auto options = checked(content);
    options.metadata = {{"waypoints", "AAEC+/=="}, {"a_b", "1"}, {"a1", "2"}, {"ab", "with spaces inside"}};
    const auto stored = run(container.put("a b/c%?", text_body(content), options, soon()));
    REQUIRE(stored.has_value());

    const auto info = run(container.head("a b/c%?", soon()));
    REQUIRE(info.has_value());
    CHECK(info->size == content.size());
    CHECK(info->etag == stored->etag);
    CHECK(info->last_modified == stored->last_modified);
    CHECK(info->content_md5 == options.md5);
    CHECK(info->find_metadata("waypoints") == "AAEC+/==");
    CHECK(info->find_metadata("ab") == "with spaces inside");

    CHECK(run(get_text(container, "a b/c%?")).value() == content);
    CHECK(run(get_text(container, "a b/c%?", {.range = byte_range{1'000'000, 500}, .if_match = info->etag})).value() ==
          content.substr(1'000'000, 500));
    CHECK(run(get_text(container, "a b/c%?", {.range = byte_range{2'999'990}})).value() == content.substr(2'999'990));
    for (const auto beyond : {3'000'000U, 3'000'001U}) {
        CHECK(kind(run(get_text(container, "a b/c%?", {.range = byte_range{beyond, 1}}))) == error_kind::invalid_range);
    }
    CHECK(kind(run(get_text(container, "a b/c%?", {.range = {}, .if_match = "0x1"}))) == error_kind::precondition);
    const auto ranged = run(begin_get(container, "a b/c%?", {.range = byte_range{0, 10}}));
    REQUIRE(ranged.has_value());
    CHECK(ranged->info.content_md5 == options.md5);

    CHECK(run(container.del("a b/c%?", {}, soon())).has_value());
    CHECK(kind(run(container.head("a b/c%?", soon()))) == error_kind::not_found);
}

TEST_CASE("an empty blob is a blob", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container name(*server);
    const auto container = client_of(*server, name.name());
    REQUIRE(run(container.put("empty", {}, checked(""), soon())).has_value());
    CHECK(run(container.head("empty", soon()))->size == 0);
    CHECK(run(get_text(container, "empty")).value().empty());
    CHECK(kind(run(get_text(container, "empty", {.range = byte_range{0, 1}}))) == error_kind::invalid_range);
}

TEST_CASE("conditions hold at a real service", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container name(*server);
    const auto container = client_of(*server, name.name());
    put_options if_absent;
    if_absent.only.if_absent = true;
    const auto first = run(container.put("k", text_body("one"), if_absent, soon()));
    REQUIRE(first.has_value());
    CHECK(kind(run(container.put("k", text_body("two"), if_absent, soon()))) == error_kind::precondition);

    const auto touched = run(container.set_metadata("k", {{"touched", "1"}}, {.if_match = first->etag}, soon()));
    REQUIRE(touched.has_value());
    CHECK(touched->etag != first->etag);
    CHECK(kind(run(container.set_metadata("k", {}, {.if_match = first->etag}, soon()))) == error_kind::precondition);
    CHECK(kind(run(container.del("k", {.if_match = first->etag}, soon()))) == error_kind::precondition);
    const auto before = touched->last_modified - std::chrono::hours(1);
    CHECK(kind(run(container.del("k", {.if_unmodified_since = before}, soon()))) == error_kind::precondition);
    put_options replace;
    replace.only.if_match = first->etag;
    CHECK(kind(run(container.put("k", text_body("three"), replace, soon()))) == error_kind::precondition);

    CHECK(run(get_text(container, "k")).value() == "one");
    CHECK(run(container.head("k", soon()))->find_metadata("touched") == "1");
    CHECK(run(container.del("k", {.if_match = touched->etag, .if_unmodified_since = touched->last_modified}, soon()))
              .has_value());
    CHECK(kind(run(container.del("k", {.if_match = touched->etag}, soon()))) != error_kind{});
}

TEST_CASE("listings come in pages, with metadata and digests", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container name(*server);
    const auto container = client_of(*server, name.name());
    std::set<std::string> expected;
    for (int i = 0; i < 25; ++i) {
        const auto key = (i % 2 ? "a" : "b") + std::to_string(i);
        auto options = checked(key);
        options.metadata = {{"number", std::to_string(i)}};
        REQUIRE(run(container.put(key, text_body(key), options, soon())).has_value());
        if (i % 2) expected.insert(key);
    }
    list_options where{.prefix = "a", .keys_max = 5};
    std::set<std::string> seen;
    int pages = 0;
    while (true) {
        const auto page = run(container.list(where, soon()));
        REQUIRE(page.has_value());
        ++pages;
        for (const auto& one : page->objects) {
            seen.insert(one.key);
            CHECK(one.size == one.key.size());
            CHECK(one.content_md5 == md5_of(one.key));
            CHECK(one.metadata == name_values{{"number", one.key.substr(1)}});
            CHECK_FALSE(one.etag.empty());
        }
        if (!page->truncated) break;
        where.continue_after(*page);
    }
    CHECK(seen == expected);
    CHECK(pages >= 3);
    const auto head = run(container.head("a1", soon()));
    const auto listed = run(container.list({.prefix = "a1", .keys_max = 1}, soon()));
    REQUIRE((head && listed));
    CHECK(listed->objects.front().etag == head->etag);
    CHECK(listed->objects.front().last_modified == head->last_modified);
}

TEST_CASE("a blob is copied with its metadata to another container", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container from(*server);
    const azure_container to(*server);
    const auto source = client_of(*server, from.name());
    const auto target = client_of(*server, to.name());
    const auto content = pattern(300'000);
    auto how = checked(content);
    how.metadata = {{"keepstore_waypoints", "AAEC"}};
    const auto stored = run(source.put("a", text_body(content), how, soon()));
    REQUIRE(stored.has_value());
    const auto copied = run(target.copy(source, "a", "b", {.if_match = stored->etag, .md5 = how.md5}, soon()));
    REQUIRE(copied.has_value());
    const auto info = run(target.head("b", soon()));
    REQUIRE(info.has_value());
    CHECK(info->size == content.size());
    CHECK(info->etag == copied->etag);
    CHECK(info->content_md5 == how.md5);
    CHECK(info->find_metadata("keepstore_waypoints") == "AAEC");
    CHECK(to_string(kind(run(target.copy(source, "a", "c", {.if_match = "0x1"}, soon())))) == "precondition");
    CHECK(to_string(kind(run(target.copy(source, "missing", "c", {}, soon())))) == "not_found");
    CHECK(kind(run(target.head("c", soon()))) == error_kind::not_found);
}

TEST_CASE("a blob is made of blocks", "[azure][real]") {
    const auto server = azure_server::find();
    if (!server) return;
    const azure_container name(*server);
    const auto container = client_of(*server, name.name());
    const auto one = pattern(1'000'000);
    const std::string two = "the rest";
    CHECK(run(container.put_block("k", "block-00001", text_body(two), md5_of(two), soon())).has_value());
    CHECK(run(container.put_block("k", "block-00000", text_body(one), md5_of(one), soon())).has_value());
    CHECK(kind(run(container.put_block("k", "block-00002", text_body(two), md5_of(one), soon()))) ==
          error_kind::bad_digest);
    CHECK(kind(run(container.head("k", soon()))) == error_kind::not_found);
    auto options = checked(one + two);
    options.metadata = {{"a", "1"}};
    options.only.if_absent = true;
    const std::vector<std::string> ids{"block-00000", "block-00001"};
    const auto made = run(container.put_block_list("k", ids, options, soon()));
    REQUIRE(made.has_value());
    CHECK(run(get_text(container, "k")).value() == one + two);
    const auto info = run(container.head("k", soon()));
    CHECK(info->content_md5 == options.md5);
    CHECK(info->find_metadata("a") == "1");
    // The same again, as after a lost response.
    options.only = {};
    CHECK(run(container.put_block_list("k", ids, options, soon())).has_value());
    CHECK(run(get_text(container, "k")).value() == one + two);
}
