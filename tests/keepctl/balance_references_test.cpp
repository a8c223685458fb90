#include "keepctl/balance/references.hpp"
#include "keepctl/balance/state.hpp"

#include "digest/md5.hpp"
#include "tests/support/temp_dir.hpp"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <set>

namespace keepstore::keepctl::balance {
namespace {

constexpr std::string_view foo = "acbd18db4cc2f85cedef654fccc4a4d8";
constexpr std::string_view bar = "37b51d194a7513e45b56f6524f2d51f2";

struct parsed {
    bool whole = false;
    std::string error_text;
    std::vector<std::string> lines;
};

parsed parse(std::string_view text, std::size_t piece = 1'000'000) {
    parsed out;
    reference_names names;
    reference_parser parser(names, 7);
    std::vector<reference> found;
    for (std::size_t at = 0; at < text.size(); at += piece) {
        if (auto done = parser.parse(text.substr(at, piece), found); !done) {
            out.error_text = done.error().text;
            return out;
        }
    }
    if (auto end = parser.expect_end(); !end) out.error_text = end.error().text;
    out.whole = out.error_text.empty();
    for (const auto& r : found) {
        CHECK(r.seen_at == 7);
        out.lines.push_back(r.class_number == reference::by_rules ? fmt::format("{}+{}", r.block.hex(), r.size)
                                                                  : fmt::format("{}+{} {}={}", r.block.hex(), r.size,
                                                                                names.all[r.class_number], r.copies));
    }
    return out;
}

reference some_reference(unsigned number) {
    const auto text = std::to_string(number);
    return {.block = digest::md5_of(std::as_bytes(std::span(text))), .size = number, .seen_at = number};
}

}  // namespace

TEST_CASE("references are read from lines and from manifests", "[keepctl][balance]") {
    const std::string text = fmt::format(
        "{0}+3\n{1}+3 default=2 archival=1\n. {0}+3+A0123@5 {1}+3 0:3:a 3:3:b\\040c\n./dir {1}+3+Rzzzzz-0@1 0:3:x\n"
        ". d41d8cd98f00b204e9800998ecf8427e+0 0:0:empty\n\n",
        foo, bar);
    const std::vector<std::string> expected{
        fmt::format("{}+3", foo), fmt::format("{}+3 default=2", bar), fmt::format("{}+3 archival=1", bar),
        fmt::format("{}+3", foo), fmt::format("{}+3", bar),           fmt::format("{}+3", bar)};
    for (const std::size_t piece : {1U, 2U, 3U, 7U, 64U, 100'000U}) {
        const auto got = parse(text, piece);
        INFO(piece);
        CHECK(got.whole);
        CHECK(got.lines == expected);
    }
    CHECK(parse("\n").whole);
    CHECK(parse("d41d8cd98f00b204e9800998ecf8427e+0\n\n").lines.size() == 1);
}

TEST_CASE("a file of references that is cut anywhere is refused", "[keepctl][balance]") {
    const std::string text = fmt::format("{0}+3 default=2\n. {1}+3 0:3:a\n\n", foo, bar);
    REQUIRE(parse(text).whole);
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
        INFO(cut);
        CHECK_FALSE(parse(text.substr(0, cut)).whole);
    }
    CHECK(parse(text + "\n").error_text == "line 3: text after the empty line that ends the list");
    CHECK(parse(text + fmt::format("{}+3\n\n", foo)).error_text != "");
}

TEST_CASE("nothing follows the end of a file of references", "[keepctl][balance]") {
    const auto line = fmt::format("{}+3\n", foo);
    CHECK(parse(line + "\n").whole);
    for (const auto& more : {std::string("\n"), line, std::string(" "), "\n" + line + "\n"}) {
        const auto got = parse(line + "\n" + more);
        CHECK_FALSE(got.whole);
        CHECK(got.error_text == "line 2: text after the empty line that ends the list");
    }
}

TEST_CASE("a file of references with one bad line is refused", "[keepctl][balance]") {
    const auto bad = [](std::string line) {
        const auto got = parse(fmt::format("{}+3\n", foo) + line + "\n\n");
        CHECK_FALSE(got.whole);
        return got.error_text;
    };
    CHECK(bad("hello") == "line 2: expected hash+size");
    CHECK(bad(std::string(foo)) == "line 2: expected hash+size");
    CHECK(bad("ACBD18DB4CC2F85CEDEF654FCCC4A4D8+3") == "line 2: expected hash+size");
    CHECK(bad(fmt::format("{}+67108865", foo)) == "line 2: expected hash+size");
    CHECK(bad(fmt::format("{}+3 ", foo)) == "line 2: expected CLASS=COPIES after the block");
    CHECK(bad(fmt::format("{}+3 default", foo)) == "line 2: expected CLASS=COPIES after the block");
    CHECK(bad(fmt::format("{}+3 default=-1", foo)) == "line 2: expected CLASS=COPIES after the block");
    CHECK(bad(fmt::format("{}+3 default=1001", foo)) == "line 2: expected CLASS=COPIES after the block");
    CHECK(bad(fmt::format("{}+3 a,b=1", foo)) == "line 2: expected CLASS=COPIES after the block");
    CHECK(bad(fmt::format("{}+3\r", foo)) == "line 2: expected hash+size");
    CHECK(bad(".x 0:0:a") == "line 2: a manifest's line begins with . or ./");
    CHECK(bad(fmt::format(". {}+3", foo)) == "line 2: a manifest's line without a file");
    CHECK(bad(".") == "line 2: a manifest's line without a file");
    CHECK(bad(fmt::format(". {} 0:3:a", foo)) == "line 2: expected a locator or a part of a file in a manifest");
    CHECK(bad(fmt::format(". {0}+3 0:3:a {0}+3", foo)) == "line 2: expected a part of a file in a manifest");
    CHECK(bad(fmt::format(". {}+3 0:3:", foo)) == "line 2: expected a locator or a part of a file in a manifest");
    CHECK(bad(fmt::format(". {}+3  0:3:a", foo)) == "line 2: expected a locator or a part of a file in a manifest");
    CHECK(bad(std::string(100'000, 'a')) == "line 2: too long");
    std::string classes(foo);
    classes += "+3";
    for (int i = 0; i < 65; ++i) classes += fmt::format(" c{}=1", i);
    CHECK(bad(classes) == "too many storage classes");
}

TEST_CASE("references come back by prefix, sorted, whether they are in memory or in a file", "[keepctl][balance]") {
    for (const std::size_t memory : {std::size_t{1} << 30, std::size_t{4096}, std::size_t{0}}) {
        const keepstore::test::temp_dir dir;
        reference_spool spool(dir.path().string(), memory);
        std::set<std::string> all;
        for (unsigned i = 0; i < 2000; ++i) {
            const auto r = some_reference(i);
            all.insert(r.block.hex());
            const reference twice[] = {r, r};
            REQUIRE(spool.add(std::span(twice).first(1 + i % 2)));
        }
        CHECK(spool.size() == 3000);
        // Its file has no name.
        CHECK(std::filesystem::is_empty(dir.path()));
        for (const std::string prefix : {"", "0", "7", "ff", "a0", "c81", "123", "c81e728d9d4c2f636f067f89cc14862c"}) {
            const auto got = spool.load(prefix);
            REQUIRE(got);
            std::vector<std::string> expected;
            for (const auto& name : all) {
                if (name.starts_with(prefix)) expected.push_back(name);
            }
            std::vector<std::string> names;
            for (const auto& r : *got) names.push_back(r.block.hex());
            INFO(prefix);
            CHECK(names == expected);
            CHECK(names.empty() == (prefix == "123"));
        }
    }
}

TEST_CASE("of equal references the most copies count", "[keepctl][balance]") {
    const keepstore::test::temp_dir dir;
    reference_spool spool(dir.path().string(), 0);
    auto r = some_reference(1);
    r.class_number = 0;
    for (const unsigned copies : {2U, 5U, 3U}) {
        r.copies = static_cast<std::uint16_t>(copies);
        r.seen_at = 10U - copies;
        REQUIRE(spool.add(std::span(&r, 1)));
    }
    r.class_number = 1;
    REQUIRE(spool.add(std::span(&r, 1)));
    const auto got = spool.load("");
    REQUIRE(got);
    REQUIRE(got->size() == 2);
    CHECK((*got)[0].copies == 5);
    CHECK((*got)[0].seen_at == 8);
}

TEST_CASE("references are kept for later runs", "[keepctl][balance]") {
    const keepstore::test::temp_dir dir;
    auto folder = state::open(dir.path().string());
    REQUIRE(folder);
    CHECK_FALSE(state::open(dir.path().string()));
    reference_names names{{"archival", "default"}};
    reference_spool spool(folder->folder(), 0);
    for (unsigned i = 0; i < 3000; ++i) {
        auto r = some_reference(i);
        if (i % 3 != 0) r.class_number = static_cast<std::uint16_t>(i % 3 - 1);
        REQUIRE(spool.add(std::span(&r, 1)));
    }
    {
        reference_spool none(folder->folder(), 0);
        reference_names other;
        const auto missing = folder->load_references(other, 0, none);
        REQUIRE_FALSE(missing);
        CHECK(missing.error() == errc::not_found);
    }
    REQUIRE(folder->save_references(names, spool));

    // Names may have other numbers then.
    reference_names later{{"default"}};
    reference_spool again(folder->folder(), 0);
    CHECK(folder->load_references(later, 1000, again).value() == 2000);
    CHECK(later.all == std::vector<std::string>{"default", "archival"});
    const auto before = spool.load("");
    const auto after = again.load("");
    REQUIRE(after->size() == 2000);
    for (const auto& r : *after) {
        REQUIRE(r.seen_at >= 1000);
        const auto found = std::ranges::find(*before, r.block, &reference::block);
        REQUIRE(found != before->end());
        const auto name = [](const reference_names& in, const reference& what) {
            return what.class_number == reference::by_rules ? "" : in.all[what.class_number];
        };
        REQUIRE(name(later, r) == name(names, *found));
    }

    // A damaged file is an error: what it had must not be trashed.
    const auto path = folder->folder() + "/references.bin";
    std::string text;
    {
        std::ifstream in(path, std::ios::binary);
        text.assign(std::istreambuf_iterator<char>(in), {});
    }
    const auto with = [&](const std::string& content) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
        reference_spool into(folder->folder(), 0);
        reference_names fresh;
        const auto got = folder->load_references(fresh, 0, into);
        return got || got.error() == errc::not_found;
    };
    CHECK(with(text));
    CHECK_FALSE(with(text.substr(0, text.size() - 32)));
    CHECK_FALSE(with(text.substr(0, text.size() - 1)));
    CHECK_FALSE(with(text + std::string(32, 'x')));
    CHECK_FALSE(with(""));
    CHECK_FALSE(with("keepctl-references-2" + text.substr(20)));
}

}  // namespace keepstore::keepctl::balance
