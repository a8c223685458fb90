/// Locators, signatures and work lists: pure functions.

#include "base/limits.hpp"
#include "protocol/locator.hpp"
#include "protocol/signature.hpp"
#include "protocol/work_lists.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::protocol;
using namespace std::chrono_literals;

namespace {

const std::string hash = "acbd18db4cc2f85cedef654fccc4a4d8";

}  // namespace

TEST_CASE("locators are accepted and refused as the protocol says", "[protocol][locator]") {
    struct row {
        std::string text;
        bool valid;
        std::optional<std::uint64_t> size = {};
        bool has_signature = false;
        bool remote = false;
    };
    const row rows[] = {
        {hash, true},
        {hash + "+3", true, 3},
        {hash + "+0", true, 0},
        {hash + "+011", true, 11},
        {hash + "+67108864", true, 67108864},
        {hash + "+Aabc@def", true, {}, true},
        {hash + "+3+Aabc@def+Kzzzzz", true, 3, true},
        {hash + "+3+Rzzzzz-abc@def", true, 3, false, true},
        {hash + "+3+Z", true, 3},
        {hash + "+3+\xf0\x9f\x98\x80", true, 3},
        {hash + "+K@xyzzy+Zfoo", true},
        {"", false},
        {hash.substr(1), false},
        {hash + "0", false},
        {"ACBD18DB4CC2F85CEDEF654FCCC4A4D8", false},
        {hash.substr(2) + "\xc3\xbc", false},
        {"+" + hash, false},
        {hash + "+", false},
        {hash + "++3", false},
        {hash + "+3+", false},
        {hash + "+K@xyzzy+3", false},
        {hash + "+3+4", false},
        {hash + "+-5", false},
        {hash + "+3x", false},
        {hash + "+0x10", false},
        {hash + "+ 5", false},
        {hash + "+00067108864", false},
        {hash + "+67108865", false},
        {hash + "+2147483648", false},
        {hash + "+9223372036854775808", false},
        {hash + "+18446744073709551616", false},
        {hash + "junk", false},
        {hash + "/3", false},
        {hash + "+3 ", false},
        {hash + "+3+A\n", false},
        {hash + "+3+\x01", false},
    };
    for (const row& r : rows) {
        CAPTURE(r.text);
        const auto parsed = locator::parse(r.text);
        REQUIRE(parsed.has_value() == r.valid);
        if (!parsed) {
            CHECK(parsed.error() == errc::bad_request);
            CHECK(parsed.error().text == "invalid locator");
            continue;
        }
        CHECK(parsed->hash.hex() == hash);
        CHECK(parsed->size == r.size);
        CHECK(parsed->signed_here == r.has_signature);
        CHECK(parsed->remote == r.remote);
        CHECK(parsed->text == r.text);
    }
    CHECK(locator::parse(hash + "+3+Aabc@def")->bare() == hash + "+3");
}

// The vector of the Arvados SDK's own tests (docs/interface.md 8.1).
TEST_CASE("signatures agree with the published vector", "[protocol][signature]") {
    const std::string key =
        "13u9fkuccnboeewr0ne3mvapk28epf68a3bhj9q8sb4l6e4e5mkkp6nhj2mmpscgu1zze5h5enydxfe3j215024u16ij4hjaiqs5u4pzsl3ncz"
        "maoxnc"
        "ljkm4875xqn4xv058koz3vkptmzhyheiy6wzevzjmdvxhvcqsvr5abhl15c2d4o4jhl0s91lojy1mtrzqqvprqcverls0xvy9vai9t1l1lvvaz"
        "puadaf"
        "m71jl4mrwq2ygokee3eamvjy8qq1fvy238838enjmy5wzy2md7yvsitp5vztft6j4q866efym7e6vu5wm9fpnwjyxfldw3vbo01mgjs75rgo7q"
        "ioh8z8"
        "ij7jpyp8508okhgbbex3ceei786u5rw2a9gx743dj3fgq2irk";
    const std::string token = "hocfupkn2pjhrpgp2vxv8rsku7tvtx49arbc9s4bvu7p7wxqvk";
    const std::string signature = "+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff";
    const locator_signer signer(key, 1209600s);
    const locator_signer::time_point now{1'700'000'000s};

    CHECK(signer.sign(hash + "+3", token, locator_signer::time_point{0x7fffffffs - 1209600s}) ==
          hash + "+3" + signature);
    CHECK(signer.sign(hash + "+3", "", now) == hash + "+3");
    CHECK(locator_signer("", 1209600s).sign(hash, token, now) == hash);

    const auto verdict = [&](const std::string& text, const std::string& t = "") -> std::string {
        const auto allowed = signer.verify(text, t.empty() ? token : t, now);
        return allowed ? "ok" : allowed.error().text;
    };
    CHECK(verdict(hash + "+3" + signature) == "ok");
    CHECK(verdict(hash + signature) == "ok");                          // The size is not signed,
    CHECK(verdict(hash + "+99" + signature) == "ok");                  // so a wrong one is valid,
    CHECK(verdict(hash + "+3+Kzzzzz" + signature + "+Zfoo") == "ok");  // as are hints on both sides.
    CHECK(verdict(hash + "+3") == "invalid signature");
    CHECK(verdict(hash + "+3" + signature, token + "x") == "invalid signature");
    CHECK(verdict("37b51d194a7513e45b56f6524f2d51f2+3" + signature) == "invalid signature");
    CHECK(verdict(hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e2@7fffffff") == "invalid signature");
    CHECK(verdict(hash + "+3+A99118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff") == "invalid signature");
    CHECK(verdict(hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7ffffffe") == "invalid signature");
    CHECK(verdict(hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301@7fffffff") == "invalid signature");
    CHECK(verdict(hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff0") == "invalid signature");
    CHECK(verdict(hash + "+3" + signature + signature) == "invalid signature");
    CHECK(verdict(hash + "+3+\xf0\x9f\x98\x80" + signature) == "invalid signature");
    // Expiry is looked at before the signature.
    CHECK(verdict(hash + "+3+A0000000000000000000000000000000000000000@00000001") == "expired signature");
    CHECK(signer.verify(hash + "+3+A0000000000000000000000000000000000000000@00000001", token, now).error() ==
          errc::unauthorized);
}

TEST_CASE("a signature covers the TTL that was in force", "[protocol][signature]") {
    const locator_signer::time_point now{1'700'000'000s};
    const locator_signer two_weeks("key", 1209600s);
    const locator_signer one_hour("key", 3600s);
    const auto text = two_weeks.sign(hash, "token", now);
    CHECK(two_weeks.verify(text, "token", now).has_value());
    CHECK_FALSE(one_hour.verify(text, "token", now).has_value());
    CHECK_FALSE(locator_signer("kex", 1209600s).verify(text, "token", now).has_value());
}

TEST_CASE("trash and pull lists are read as a balance tool sends them", "[protocol][lists]") {
    CHECK(parse_trash_list("null\n").value().empty());
    CHECK(parse_trash_list("[]").value().empty());
    CHECK(parse_pull_list("null\n").value().empty());
    const auto trash = parse_trash_list(
        R"([{"Locator":"acbd18db4cc2f85cedef654fccc4a4d8+3","BLOCK_MTIME":1700000000123456789,"mount_uuid":"m","extra":[1,{"x":2}]}] trailing)");
    REQUIRE(trash.has_value());
    REQUIRE(trash->size() == 1);
    CHECK(trash->front().locator == hash + "+3");
    CHECK(trash->front().block_mtime == 1700000000123456789);
    CHECK(trash->front().mount_uuid == "m");
    const auto pull =
        parse_pull_list(R"([{"locator":")" + hash + R"(+3","servers":["http://a:1","http://b:2"],"mount_uuid":null}])");
    REQUIRE(pull.has_value());
    CHECK(pull->front().servers == std::vector<std::string>{"http://a:1", "http://b:2"});
    CHECK(pull->front().mount_uuid.empty());

    for (const std::string bad : {"", "{", "[{]", "{\"locator\":1}", "[1]", "[{\"locator\":1}]",
                                  "[{\"block_mtime\":\"x\"}]", "[{\"block_mtime\":1.5}]", "nul"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_trash_list(bad).has_value());
    }
    CHECK_FALSE(parse_trash_list(std::string(100'000, '[')).has_value());
    const auto outdated = parse_pull_list(R"([{"locator":")" + hash + R"(","servers":[]}])");
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
