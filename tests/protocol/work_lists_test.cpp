#include "protocol/work_lists.hpp"
#include "protocol/limits.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::protocol;

namespace {

const std::string listed_hash = "acbd18db4cc2f85cedef654fccc4a4d8";

}  // namespace

TEST_CASE("trash and pull lists are read as a balance tool sends them", "[protocol][lists]") {
    CHECK(parse_trash_list("null\n").value().empty());
    CHECK(parse_trash_list("[]").value().empty());
    CHECK(parse_pull_list("null\n").value().empty());
    const auto trash = parse_trash_list(
        R"([{"Locator":"acbd18db4cc2f85cedef654fccc4a4d8+3","BLOCK_MTIME":1700000000123456789,"mount_uuid":"m","extra":[1,{"x":2}]}] trailing)");
    REQUIRE(trash.has_value());
    REQUIRE(trash->size() == 1);
    CHECK(trash->front().locator == listed_hash + "+3");
    CHECK(trash->front().block_mtime == 1700000000123456789);
    CHECK(trash->front().mount_uuid == "m");
    const auto pull = parse_pull_list(R"([{"locator":")" + listed_hash +
                                      R"(+3","servers":["http://a:1","http://b:2"],"mount_uuid":null}])");
    REQUIRE(pull.has_value());
    CHECK(pull->front().servers == std::vector<std::string>{"http://a:1", "http://b:2"});
    CHECK(pull->front().mount_uuid.empty());

    for (const std::string bad : {"", "{", "[{]", "{\"locator\":1}", "[1]", "[{\"locator\":1}]",
                                  "[{\"block_mtime\":\"x\"}]", "[{\"block_mtime\":1.5}]", "nul"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_trash_list(bad).has_value());
    }
    CHECK_FALSE(parse_trash_list(std::string(100'000, '[')).has_value());
    const auto outdated = parse_pull_list(R"([{"locator":")" + listed_hash + R"(","servers":[]}])");
    REQUIRE_FALSE(outdated.has_value());
    CHECK(outdated.error() == errc::bad_request);
}

TEST_CASE("what is wrong with a list is said, and lists are limited in items and servers", "[protocol][lists]") {
    const auto said = [](const auto& list) { return list ? std::string("fine") : list.error().text; };
    struct row {
        std::string text;
        const char* expected;
    };
    const std::string type = "malformed list: a field has the wrong type";
    for (const auto& [text, expected] : {
             row{"{}", "malformed list: expected a JSON array"},
             row{"17", "malformed list: expected a JSON array"},
             row{"\"x\"", "malformed list: expected a JSON array"},
             row{"{\"a\":[{}]}", "malformed list: expected a JSON array"},
             row{"[[]]", "malformed list: expected an array of objects"},
             row{"[null]", "malformed list: expected an array of objects"},
             row{"[[{\"locator\":\"x\"}]]", "malformed list: expected an array of objects"},
             row{"[{},1]", "malformed list: expected an array of objects"},
             row{"[{\"mount_uuid\":{}}]", "malformed list: a field has the wrong type"},
             row{"[{\"locator\":[\"x\"]}]", "malformed list: a field has the wrong type"},
             row{"[{\"locator\":true}]", "malformed list: a field has the wrong type"},
             row{"[{\"locator\":1},{]", "malformed JSON list"},
             row{"[1", "malformed JSON list"},
             row{"[{\"a\":\"\xff\"}]", "malformed JSON list"},
             row{"[{\"x\":[1,{\"locator\":2,\"servers\":[3]}],\"y\":[[[]]]}]", "fine"},
             row{"[{\"locator\":null}]", "fine"},
         }) {
        CAPTURE(text);
        CHECK(said(parse_pull_list(text)) == expected);
        CHECK(said(parse_trash_list(text)) == expected);
    }
    for (const std::string text :
         {"[{\"servers\":1}]", "[{\"servers\":\"x\"}]", "[{\"servers\":{}}]", "[{\"servers\":[1]}]",
          "[{\"servers\":[null]}]", "[{\"servers\":[[\"x\"]]}]", "[{\"servers\":[{}]}]"}) {
        CAPTURE(text);
        CHECK(said(parse_pull_list(text)) == type);
        CHECK(said(parse_trash_list(text)) == "fine");
    }
    CHECK(said(parse_trash_list("[{\"block_mtime\":9223372036854775807}]")) == "fine");
    CHECK(said(parse_trash_list("[{\"block_mtime\":9223372036854775808}]")) == type);
    CHECK(parse_trash_list("[{\"block_mtime\":-5}]").value().front().block_mtime == -5);
    // The last one of a name counts; fields of one item are not those of the next.
    const auto twice =
        parse_pull_list(R"([{"locator":"a","servers":["x","y"],"Servers":["z"],"locator":"b","locator":null},{}])");
    REQUIRE(twice.has_value());
    CHECK(twice->front().locator == "b");
    CHECK(twice->front().servers == std::vector<std::string>{"z"});
    CHECK(twice->back().locator.empty());
    CHECK(twice->back().servers.empty());

    const auto many = [](std::size_t count, std::string_view one) {
        std::string out = "[";
        for (std::size_t i = 0; i < count; ++i) out.append(i ? "," : "").append(one);
        return out + "]";
    };
    CHECK(parse_trash_list(many(limits::work_list_items_max, "{}")).value().size() == limits::work_list_items_max);
    const auto more = parse_trash_list(many(limits::work_list_items_max + 1, "{}"));
    REQUIRE_FALSE(more.has_value());
    CHECK(more.error() == errc::too_large);
    CHECK(more.error().text == "the list has more than 1000000 items");
    CHECK(parse_pull_list(many(limits::work_list_items_max + 1, "{}")).error() == errc::too_large);
    const auto with_servers = [&](std::size_t count) { return "{\"servers\":" + many(count, "\"\"") + "}"; };
    CHECK(parse_pull_list("[" + with_servers(limits::pull_item_servers_max) + "]").has_value());
    CHECK(parse_pull_list("[" + with_servers(limits::pull_item_servers_max + 1) + "]").error() == errc::too_large);
    const std::string full = with_servers(limits::pull_item_servers_max);
    const std::size_t items = limits::work_list_items_max / limits::pull_item_servers_max;
    CHECK(parse_pull_list(many(items, full)).has_value());
    CHECK(parse_pull_list(many(items + 1, full)).error() == errc::too_large);
}

TEST_CASE("an encoded list is parsed to the same items", "[protocol][lists]") {
    const std::vector<pull_item> pulls{
        {.locator = listed_hash + "+3",
         .servers = {"http://a:1", "https://b.example:443/keep"},
         .mount_uuid = "m\"\\\n"},
        {.locator = listed_hash + "+67108864", .servers = {}, .mount_uuid = ""},
    };
    CHECK(parse_pull_list(encode_list(pulls)).value() == pulls);
    const std::vector<trash_item> trash{
        {.locator = listed_hash, .block_mtime = 1767225600123456789, .mount_uuid = "zzzzz-nyw5e-000000000000000"},
        {.locator = listed_hash + "+3", .block_mtime = -1, .mount_uuid = ""},
        {.locator = listed_hash + "+3", .block_mtime = INT64_MAX, .mount_uuid = ""},
    };
    CHECK(parse_trash_list(encode_list(trash)).value() == trash);
    CHECK(encode_list(std::span<const pull_item>()) == "[]");
    CHECK(encode_list(std::span(trash).first(1)) ==
          R"([{"locator":"acbd18db4cc2f85cedef654fccc4a4d8","block_mtime":1767225600123456789,)"
          R"("mount_uuid":"zzzzz-nyw5e-000000000000000"}])");
}
