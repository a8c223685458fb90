#include "cluster_config/value.hpp"
#include "cluster_config/error.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace keepstore::cluster_config;
using kind = config_value::kind;

TEST_CASE("plain scalars are resolved as in YAML 1.1", "[daemon][yaml]") {
    struct row {
        const char* text;
        kind type;
        double number;
    };
    const row rows[] = {
        {"true", kind::boolean, 1},
        {"yes", kind::boolean, 1},
        {"On", kind::boolean, 1},
        {"y", kind::boolean, 1},
        {"off", kind::boolean, 0},
        {"No", kind::boolean, 0},
        {"n", kind::boolean, 0},
        {"tRue", kind::text, 0},
        {"", kind::null, 0},
        {"~", kind::null, 0},
        {"null", kind::null, 0},
        {"Null", kind::null, 0},
        {"nUll", kind::text, 0},
        {"10", kind::integer, 10},
        {"010", kind::integer, 8},
        {"0x8", kind::integer, 8},
        {"0b101", kind::integer, 5},
        {"0o17", kind::integer, 15},
        {"1_0", kind::integer, 10},
        {"+5", kind::integer, 5},
        {"-0x10", kind::integer, -16},
        {"0", kind::integer, 0},
        {"08", kind::real, 8},
        {"1e1", kind::real, 10},
        {"8.0", kind::real, 8},
        {".5", kind::real, 0.5},
        {"18446744073709551615", kind::real, 18446744073709551615.0},
        {"1e", kind::text, 0},
        {"1:30", kind::text, 0},
        {"0x", kind::text, 0},
        {"0xzz", kind::text, 0},
        {"-", kind::text, 0},
        {".", kind::text, 0},
        {"5m", kind::text, 0},
        {"127.0.0.1", kind::text, 0},
        {"2001-01-01", kind::text, 0},
        {"abc", kind::text, 0},
        {"0xabc", kind::integer, 0xabc},
    };
    for (const auto& row : rows) {
        INFO(row.text);
        const auto value = resolve_plain_scalar(row.text);
        CHECK(value.type == row.type);
        if (value.type == kind::boolean) CHECK(value.boolean == (row.number != 0));
        if (value.type == kind::integer) CHECK(static_cast<double>(value.integer) == row.number);
        if (value.type == kind::real) CHECK(value.real == row.number);
        CHECK(value.text == row.text);
    }
    CHECK(resolve_plain_scalar(".inf").real > 1e300);
    CHECK(resolve_plain_scalar("-.INF").real < -1e300);
}

TEST_CASE("quoted scalars are text", "[daemon][yaml]") {
    const auto tree = parse_config_text("{a: 'yes', b: \"1\", c: !!str 5, d: 'null'}");
    for (const auto* key : {"a", "b", "c", "d"}) CHECK(tree.find(key)->type == kind::text);
    CHECK(parse_config_text("a: !!int '5'").find("a")->integer == 5);
    CHECK(parse_config_text("a: |\n  5\n").find("a")->type == kind::text);
}

TEST_CASE("anchors, aliases and merge keys are expanded where they stand", "[daemon][yaml]") {
    const auto tree = parse_config_text(
        "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: {q: 3, <<: *x}\nd: *x\n"
        "e: {<<: [{p: 5}, *x]}\nf: {'<<': {p: 1}}\n");
    CHECK(tree.find("b")->find("p")->integer == 1);
    CHECK(tree.find("b")->find("q")->integer == 3);
    CHECK(tree.find("c")->find("q")->integer == 2);
    CHECK(tree.find("d")->find("q")->integer == 2);
    CHECK(tree.find("e")->find("p")->integer == 5);
    CHECK(tree.find("e")->find("q")->integer == 2);
    CHECK(tree.find("f")->find("<<") != nullptr);
    CHECK_THROWS_AS(parse_config_text("a: {<<: 5}"), config_error);
}

TEST_CASE("of equal keys the last wins, of several documents the first", "[daemon][yaml]") {
    CHECK(parse_config_text("a: 1\na: 2\n").find("a")->integer == 2);
    CHECK(parse_config_text("{\"a\": 1, \"a\": 2}").find("a")->integer == 2);
    const auto tree = parse_config_text("---\na: 1\n---\nb: 2\n");
    CHECK(tree.find("a"));
    CHECK_FALSE(tree.find("b"));
}

TEST_CASE("keys that are no text get the name that JSON gives them", "[daemon][yaml]") {
    const auto tree = parse_config_text("10: a\nyes: b\n010: c\n");
    CHECK(tree.find("10")->text == "a");
    CHECK(tree.find("true")->text == "b");
    CHECK(tree.find("8")->text == "c");
    CHECK_THROWS_AS(parse_config_text("~: a"), config_error);
    CHECK_THROWS_AS(parse_config_text("? [a]\n: b\n"), config_error);
}

TEST_CASE("JSON is read as JSON", "[daemon][yaml]") {
    const auto tree = parse_config_text("\n{\"a\":\"\\ud83d\\ude00\",\"b\":[1,2.5,true,null],\t\"c\":{\"<<\":{}}}");
    CHECK(tree.find("a")->text == "\xf0\x9f\x98\x80");
    REQUIRE(tree.find("b")->items.size() == 4);
    CHECK(tree.find("b")->items[0].integer == 1);
    CHECK(tree.find("b")->items[1].real == 2.5);
    CHECK(tree.find("b")->items[3].type == kind::null);
    CHECK(tree.find("c")->find("<<"));
    CHECK(parse_config_text("{a: 1}").find("a")->integer == 1);
}

TEST_CASE("hostile documents are refused", "[daemon][yaml]") {
    std::string bombs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string last = "*a" + std::to_string(i - 1);
        bombs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
        for (int j = 1; j < 10; ++j) bombs += "," + last;
        bombs += "]\n";
    }
    CHECK_THROWS_WITH(parse_config_text(bombs), Catch::Contains("unreasonable size"));
    CHECK_THROWS_AS(parse_config_text("a: &a [*a]\n"), config_error);
    CHECK_THROWS_AS(parse_config_text("a: *nowhere\n"), config_error);
    CHECK_THROWS_WITH(parse_config_text(std::string(1000, '[')), Catch::Contains("levels") || Catch::Contains("YAML"));
    CHECK_THROWS_WITH(parse_config_text("{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}"),
                      Catch::Contains("levels"));
    CHECK_THROWS_WITH(parse_config_text(std::string("a: b\x04\n")), Catch::Contains("control character"));
    CHECK_THROWS_WITH(parse_config_text("a: [1\nb: }\n"), Catch::StartsWith("line "));
    CHECK(parse_config_text("").type == kind::null);
    CHECK(parse_config_text("# nothing\n").type == kind::null);
}
