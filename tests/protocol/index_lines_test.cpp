#include "protocol/index_lines.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>

using namespace keepstore;
using namespace keepstore::protocol;

namespace {

const std::string foo = "acbd18db4cc2f85cedef654fccc4a4d8";
const std::string bar = "37b51d194a7513e45b56f6524f2d51f2";

std::string encoded(const std::vector<index_line>& lines) {
    std::string out;
    for (const index_line& line : lines) append_index_line(out, line);
    return out.append(index_end);
}

// Parses the text in pieces of this size.
result<std::vector<index_line>> parsed(std::string_view text, std::string prefix = {}, std::size_t piece = 4096) {
    index_parser parser(std::move(prefix));
    std::vector<index_line> out;
    for (std::size_t at = 0; at < text.size(); at += piece) KS_CHECK(parser.parse(text.substr(at, piece), out));
    KS_CHECK(parser.expect_end());
    return out;
}

std::string failure(std::string_view text, std::string prefix = {}) {
    const auto lines = parsed(text, std::move(prefix));
    if (lines) return "none";
    CHECK(lines.error() == errc::io_error);
    return lines.error().text;
}

}  // namespace

TEST_CASE("an index line is hash, size and mtime in nanoseconds", "[protocol][index]") {
    std::string text = "before\n";
    append_index_line(text, {.block = *md5_digest::parse(foo), .size = 3, .mtime = 1767225600123456789});
    append_index_line(text, {.block = *md5_digest::parse(bar), .size = 0, .mtime = -1});
    CHECK(text == "before\n" + foo + "+3 1767225600123456789\n" + bar + "+0 -1\n");
    text.clear();
    append_index_line(text, {.block = md5_of_nothing,
                             .size = std::numeric_limits<std::uint64_t>::max(),
                             .mtime = std::numeric_limits<std::int64_t>::min()});
    CHECK(text == md5_of_nothing.hex() + "+18446744073709551615 -9223372036854775808\n");
}

TEST_CASE("an index is parsed to the same lines, in pieces of any size", "[protocol][index]") {
    const std::vector<index_line> lines{
        {.block = *md5_digest::parse(foo), .size = 3, .mtime = 1767225600123456789},
        {.block = *md5_digest::parse(foo), .size = 67108864, .mtime = 1000000000000},
        {.block = md5_of_nothing, .size = 0, .mtime = std::numeric_limits<std::int64_t>::max()},
        {.block = *md5_digest::parse(bar), .size = 3, .mtime = 0},
        {.block = *md5_digest::parse(bar), .size = 3, .mtime = std::numeric_limits<std::int64_t>::min()},
    };
    const std::string text = encoded(lines);
    for (std::size_t piece = 1; piece <= text.size(); ++piece) CHECK(parsed(text, {}, piece).value() == lines);
    CHECK(parsed(index_end).value().empty());
}

TEST_CASE("numbers of any length are parsed, and no other character is a digit", "[protocol][index]") {
    const std::string many = "7918273645546372819";
    for (std::size_t size_digits = 1; size_digits <= 8; ++size_digits) {
        for (std::size_t mtime_digits = 1; mtime_digits <= many.size(); ++mtime_digits) {
            const auto size = std::string("12345678").substr(8 - size_digits);
            const auto mtime = many.substr(many.size() - mtime_digits);
            const auto line = foo + "+" + size + " " + mtime;
            CAPTURE(line);
            const auto found = parsed(line + "\n\n").value();
            REQUIRE(found.size() == 1);
            CHECK(found[0].size == std::stoull(size));
            const auto number = std::stoll(mtime);
            CHECK(found[0].mtime == (number <= 9'223'372'036 ? number * 1'000'000'000 : number));  // Else out of range.
            for (std::size_t at = foo.size() + 1; at < line.size(); ++at) {
                for (const char other : {'/', ':', 'a', '\0', '\x80', '\xb5', '\xff'}) {
                    auto wrong = line;
                    wrong[at] = other;
                    CHECK(failure(wrong + "\n\n").starts_with("malformed index: line 1 "));
                }
            }
        }
    }
}

TEST_CASE("each character of a name is a lower-case hex digit", "[protocol][index]") {
    for (int c = 0; c < 256; ++c) {
        const auto character = static_cast<char>(c);
        const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        for (std::size_t at = 0; at < foo.size(); ++at) {
            auto name = foo;
            name[at] = character;
            const auto found = md5_digest::parse(name);
            CHECK(found.has_value() == digit);
            if (found) CHECK(found->hex() == name);
        }
    }
}

TEST_CASE("an index without its empty line is incomplete, wherever it ends", "[protocol][index]") {
    const std::string text = foo + "+3 1767225600123456789\n" + bar + "+3 1767225600123456789\n\n";
    for (std::size_t size = 0; size < text.size(); ++size) {
        CAPTURE(size);
        CHECK(failure(text.substr(0, size)).starts_with("incomplete index: "));
    }
    CHECK(failure(text) == "none");
    CHECK(failure(text.substr(0, text.size() - 1)) == "incomplete index: it ends after 2 lines without an empty line");
}

TEST_CASE("an mtime in seconds is taken as such", "[protocol][index]") {
    const auto mtime = [](const std::string& text) { return parsed(foo + "+3 " + text + "\n\n").value().at(0).mtime; };
    CHECK(mtime("1767225600") == 1767225600'000000000);
    CHECK(mtime("9223372036") == 9223372036'000000000);
    CHECK(mtime("-1") == -1'000000000);
    // As seconds these would be centuries away, and out of range.
    CHECK(mtime("9223372037") == 9223372037);
    CHECK(mtime("999999999999") == 999999999999);
    CHECK(mtime("-9223372037") == -9223372037);
    CHECK(mtime("1000000000000") == 1000000000000);
}

TEST_CASE("files larger than a block are counted, and are no lines", "[protocol][index]") {
    index_parser parser;
    std::vector<index_line> lines;
    REQUIRE(parser.parse(foo + "+67108865 1767225600123456789\n" + foo + "+67108864 1767225600123456789\n" + foo +
                             "+18446744073709551615 1767225600123456789\n\n",
                         lines));
    CHECK(parser.expect_end());
    CHECK(parser.too_large() == 2);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].size == 67108864);
}

TEST_CASE("a malformed index is refused, with the number of the line", "[protocol][index]") {
    const std::string good = foo + "+3 1767225600123456789\n";
    for (const std::string& line : std::vector<std::string>{
             "x",
             " ",
             "\r",
             foo,
             foo + "+3",
             foo + "+3 ",
             foo + " 1767225600123456789",
             foo + "+ 1767225600123456789",
             foo + "+-3 1767225600123456789",
             foo + "+3x 1767225600123456789",
             foo + "+18446744073709551616 1767225600123456789",
             foo + "+3  1767225600123456789",
             foo + "+3\t1767225600123456789",
             foo + "+3 1767225600123456789 ",
             foo + "+3 1767225600123456789\r",
             foo + "+3 1767225600123456789 x",
             foo + "+3 1767225600.5",
             foo + "+3 9223372036854775808",
             foo + "+3+A 1767225600123456789",
             foo + "x+3 1767225600123456789",
             " " + foo + "+3 1767225600123456789",
             foo.substr(1) + "+3 1767225600123456789",
             "ACBD18DB4CC2F85CEDEF654FCCC4A4D8+3 1767225600123456789",
             std::string("\0", 1) + foo + "+3 1767225600123456789",
         }) {
        CAPTURE(line);
        CHECK(failure(good + line + "\n\n").starts_with("malformed index: line 2 "));
    }
    CHECK(failure(good + "\n" + good) == "malformed index: it goes on after its end");
    CHECK(failure(good + "\n\n") == "malformed index: it goes on after its end");
    CHECK(failure(good, "acbe") == "malformed index: line 1 does not begin with the requested prefix");
    CHECK(failure(good + "\n", "acbd") == "none");
    CHECK(failure(good + "\n", foo) == "none");
}

TEST_CASE("the beginning of a malformed line is kept, printable", "[protocol][index]") {
    index_parser parser;
    std::vector<index_line> lines;
    CHECK_FALSE(
        parser.parse(foo + "+3 1767225600123456789\nread error: \x1b[1m\xff and so on, more than forty\n", lines));
    CHECK(parser.bad_line() == "read error: ?[1m? and so on, more than f");
}

TEST_CASE("a line without end is refused before it takes much memory", "[protocol][index]") {
    index_parser parser;
    std::vector<index_line> lines;
    const std::string piece(1000, '0');
    std::size_t taken = 0;
    while (parser.parse(piece, lines)) taken += piece.size();
    CHECK(taken <= index_parser::line_bytes_max);
    CHECK(failure(std::string(index_parser::line_bytes_max + 1, 'a') + "\n\n") ==
          "malformed index: line 1 is too long");
}
