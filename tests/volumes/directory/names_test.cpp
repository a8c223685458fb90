#include "volumes/directory/names.hpp"

#include <catch2/catch.hpp>

#include <set>

namespace keepstore::volumes::directory {

TEST_CASE("a block's path is the Go daemon's", "[volumes][names]") {
    const auto name = *md5_digest::parse("acbd18db4cc2f85cedef654fccc4a4d8");
    const block_path path(name);
    CHECK(std::string_view(path.dir.data()) == "acb");
    CHECK(std::string_view(path.file.data()) == "acbd18db4cc2f85cedef654fccc4a4d8");
    CHECK(std::string_view(path.path.data()) == "acb/acbd18db4cc2f85cedef654fccc4a4d8");
    CHECK(block_dir_index(name) == 0xacb);
    CHECK(parse_block_dir("acb") == 0xacbU);
    for (const char* other : {"", "ac", "acbd", "ACB", "xyz", ".aa"}) CHECK_FALSE(parse_block_dir(other));
}

TEST_CASE("trash names are parsed as they are formatted", "[volumes][names]") {
    const auto name = *md5_digest::parse("acbd18db4cc2f85cedef654fccc4a4d8");
    CHECK(trash_name(name, 1700000000) == "acbd18db4cc2f85cedef654fccc4a4d8.trash.1700000000");
    const auto parsed = parse_trash_name(trash_name(name, 1700000000));
    REQUIRE(parsed);
    CHECK(parsed->name == name);
    CHECK(parsed->deadline == 1700000000);
    const std::string hex = name.hex();
    for (const std::string& other : {hex, hex + ".trash.", hex + ".trash.x", hex + ".trash.-1", hex + ".trash.1x",
                                     hex + ".trash 1", hex + ".trash.99999999999999999999", "x" + hex + ".trash.1",
                                     std::string("ACBD18DB4CC2F85CEDEF654FCCC4A4D8.trash.1")}) {
        CAPTURE(other);
        CHECK_FALSE(parse_trash_name(other));
    }
}

TEST_CASE("temp names are unique and show which daemon made them", "[volumes][names]") {
    const auto name = *md5_digest::parse("acbd18db4cc2f85cedef654fccc4a4d8");
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const auto temp = temp_name(name);
        CHECK(temp.starts_with("tmp" + name.hex()));
        CHECK(parse_temp_name(temp) == temp_origin::ours);
        CHECK(seen.insert(temp).second);
    }
    CHECK(parse_temp_name("tmp" + name.hex() + "1234567890") == temp_origin::foreign);
    for (const std::string& other :
         {"tmp" + name.hex(), "tmp" + name.hex() + "12x", std::string("tmp1"), name.hex(), "TMP" + name.hex() + "1"}) {
        CHECK_FALSE(parse_temp_name(other));
    }
}

}  // namespace keepstore::volumes::directory
