#include "keepctl/cluster/block_names.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::keepctl;

namespace {

constexpr const char* foo = "acbd18db4cc2f85cedef654fccc4a4d8";
constexpr const char* bar = "37b51d194a7513e45b56f6524f2d51f2";

}  // namespace

TEST_CASE("a failures file and a list of hashes name blocks", "[keepctl][names]") {
    const auto failure = failure_line({*md5_digest::parse(foo), 3, "failed", "no \"space\"\xff", "http://keep0:25107"});
    CHECK_THAT(failure, Catch::StartsWith(R"({"hash":"acbd18db4cc2f85cedef654fccc4a4d8","size":3,"class":"failed",)"));
    CHECK_THAT(failure, Catch::EndsWith(R"("server":"http://keep0:25107"})"
                                        "\n"));
    const auto names = parse_block_names(failure + "# a note\n\n" + bar + "+3\r\n" + foo + "\n" + bar + " 17");
    REQUIRE(names);
    REQUIRE(names->size() == 2);
    CHECK((*names)[0].hex() == bar);
    CHECK((*names)[1].hex() == foo);
    CHECK(parse_block_names("")->empty());
}

TEST_CASE("a list of hashes with a wrong line is refused as a whole", "[keepctl][names]") {
    for (const char* const wrong :
         {"x", "{}", R"({"hash":3})", "{", "acbd18db4cc2f85cedef654fccc4a4d", "ACBD18DB4CC2F85CEDEF654FCCC4A4D8"}) {
        INFO(wrong);
        const auto names = parse_block_names(std::string(foo) + "\n" + wrong + "\n");
        REQUIRE_FALSE(names);
        CHECK_THAT(names.error(), Catch::Contains("line 2"));
    }
}

TEST_CASE("names with a prefix are found at both ends", "[keepctl][names]") {
    const auto names = parse_block_names(std::string(foo) + "\n" + bar + "\n");
    for (const char* const there : {"", "3", "37b", "a", "acbd18db4cc2f85cedef654fccc4a4d8"})
        CHECK(has_prefix(*names, there));
    for (const char* const absent : {"0", "36", "37c", "acbd18db4cc2f85cedef654fccc4a4d9", "f"})
        CHECK_FALSE(has_prefix(*names, absent));
    CHECK_FALSE(has_prefix({}, ""));
}
