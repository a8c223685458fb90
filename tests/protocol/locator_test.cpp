#include "protocol/locator.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::protocol;

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
