#include "base/hex.hpp"

#include "base/md5_digest.hpp"
#include "base/sha256.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace keepstore;

TEST_CASE("bytes become two lower-case digits each", "[base][hex]") {
    CHECK(to_hex(std::array<std::uint8_t, 4>{0x00, 0x0f, 0xa0, 0xff}) == "000fa0ff");
    CHECK(to_hex({}).empty());
}

TEST_CASE("hexadecimal digits are told from other characters", "[base][hex]") {
    for (int i = 0; i < 256; ++i) {
        const auto c = static_cast<char>(i);
        const auto at = std::string_view("0123456789abcdefABCDEF").find(c);
        const bool digit = at != std::string_view::npos;
        CHECK(is_lower_hex(c) == (digit && at < 16));
        CHECK(hex_value(c) == (digit ? static_cast<int>(at < 16 ? at : at - 6) : -1));
    }
    CHECK(is_lower_hex("acbd18db4cc2f85cedef654fccc4a4d8"));
    CHECK(is_lower_hex(""));
    CHECK_FALSE(is_lower_hex("acbd18dB"));
}

TEST_CASE("a name is 32 lower-case digits, and nothing else", "[base][hex]") {
    const std::string good = "0123456789abcdeffedcba9876543210";
    const auto name = md5_digest::parse(good);
    REQUIRE(name);
    CHECK(name->hex() == good);
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (int i = 0; i < 256; ++i) {
            auto text = good;
            text[at] = static_cast<char>(i);
            const auto parsed = md5_digest::parse(text);
            CHECK(parsed.has_value() == is_lower_hex(static_cast<char>(i)));
            if (parsed) CHECK(parsed->hex() == text);
        }
    }
    CHECK_FALSE(md5_digest::parse(good.substr(1)));
    CHECK_FALSE(md5_digest::parse(good + "0"));
    CHECK_FALSE(md5_digest::parse(""));
}

TEST_CASE("SHA-256 gives the digests of FIPS 180-4", "[base][sha256]") {
    CHECK(to_hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
