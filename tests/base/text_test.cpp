#include "base/text.hpp"
#include "base/base64.hpp"
#include "base/join.hpp"
#include "base/md5_digest.hpp"
#include "base/utc_text.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

using namespace keepstore;

TEST_CASE("classes of characters are those of ASCII", "[base][text]") {
    std::string digits, lower, letters;
    for (int c = 0; c < 256; ++c) {
        if (is_digit(static_cast<char>(c))) digits += static_cast<char>(c);
        if (is_lower(static_cast<char>(c))) lower += static_cast<char>(c);
        if (is_letter(static_cast<char>(c))) letters += static_cast<char>(c);
        CHECK(is_alphanumeric(static_cast<char>(c)) ==
              (is_letter(static_cast<char>(c)) || is_digit(static_cast<char>(c))));
    }
    CHECK(digits == "0123456789");
    CHECK(lower == "abcdefghijklmnopqrstuvwxyz");
    CHECK(lower_case(letters) == lower + lower);
    CHECK(iequals("Content-MD5", "content-md5"));
    CHECK_FALSE(iequals("[", "{"));
}

TEST_CASE("a number is digits and nothing else", "[base][text]") {
    CHECK(parse_number<unsigned>("0042") == 42U);
    CHECK(parse_number<std::uint8_t>("ff", 16) == 255);
    CHECK(parse_number<std::int64_t>("-1") == -1);
    for (const auto* text : {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "4294967296"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_number<unsigned>(text));
    }
    CHECK(is_number("18446744073709551616"));
    CHECK_FALSE(is_number(""));
    CHECK_FALSE(is_number("1-"));
}

TEST_CASE("trimming takes the blanks at both ends", "[base][text]") {
    CHECK(trim(" \ta b\t ") == "a b");
    CHECK(trim("\na\n") == "\na\n");
    CHECK(trim("\na\n", " \n") == "a");
    constexpr std::string_view blank = " \t ";
    CHECK(trim(blank).empty());
    CHECK(trim(blank).data() == blank.data() + blank.size());
    CHECK(trim("").empty());
}

TEST_CASE("parts are joined with a text between two of them", "[base][text]") {
    CHECK(join(std::vector<std::string>{}, ", ").empty());
    CHECK(join(std::array<std::string_view, 1>{"a"}, ", ") == "a");
    CHECK(join(std::vector<std::string>{"a", "", "b", ""}, ", ") == "a, , b, ");
}

TEST_CASE("a time is written in UTC, in whole seconds, rounded down", "[base][text]") {
    using std::chrono::sys_seconds, std::chrono::seconds, std::chrono::system_clock;
    CHECK(utc_text(sys_seconds()) == "1970-01-01T00:00:00Z");
    CHECK(utc_text(sys_seconds(seconds(1'709'164'799))) == "2024-02-28T23:59:59Z");
    CHECK(utc_text(sys_seconds(seconds(1'709'251'199))) == "2024-02-29T23:59:59Z");
    CHECK(utc_text(sys_seconds(seconds(253'402'300'800))) == "10000-01-01T00:00:00Z");
    CHECK(utc_text(system_clock::time_point(std::chrono::nanoseconds(1'999'999'999))) == "1970-01-01T00:00:01Z");
    CHECK(utc_text(system_clock::time_point(std::chrono::nanoseconds(-1))) == "1969-12-31T23:59:59Z");
    CHECK(utc_text(sys_seconds(seconds::max())) == std::to_string(std::numeric_limits<std::int64_t>::max()));
}

TEST_CASE("percent-encoding is decoded strictly", "[base][text]") {
    CHECK(percent_decode("a%2Fb+c%00", true) == std::string("a/b c\0", 6));
    CHECK(percent_decode("a%2fb+c") == "a/b+c");
    for (const auto* text : {"%", "%4", "%4g", "%-1", "a%"}) {
        CAPTURE(text);
        CHECK_FALSE(percent_decode(text));
    }
}

TEST_CASE("base64 is padded, and decoded strictly", "[base][base64]") {
    const auto bytes_of = [](std::string_view text) { return std::as_bytes(std::span(text)); };
    // RFC 4648 10.
    for (const auto& [plain, coded] : {std::pair{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}}) {
        CHECK(encode_base64(bytes_of(plain)) == coded);
        CHECK(decode_base64(coded) == plain);
    }
    CHECK(encode_base64(std::as_bytes(std::span(md5_of_nothing.bytes))) == "1B2M2Y8AsgTpgAmY7PhCfg==");
    CHECK(decode_base64("-_-_", base64_alphabet::url) == decode_base64("+/+/"));
    for (const auto* text :
         {"Zg", "Zg=", "Zg===", "Z===", "====", "=Zg=", "Zg=A", "Zm9v\n", " Zm9", "Zm9v-_-_", "Z*==", "Zg==Zg=="}) {
        CAPTURE(text);
        CHECK_FALSE(decode_base64(text));
    }
}
