/// What every volume driver must do (volumes/volume.hpp; the rows of the Go daemon's volume_generic_test). A driver's
/// test defines KEEPSTORE_VOLUME_MAKERS as a std::tuple of makers and includes this file. A maker is
/// default-constructible and has
///     volume& get();                                  an empty volume of its own, open until the maker is destroyed
///     void set_mtime(const md5_digest&, block_time);  changes the stored time of a block
///     static constexpr bool mtime_in_nanoseconds;     false: whole seconds
///     static constexpr bool keeps_attributes;         read_attribute finds what write_attribute stored
///     static constexpr bool keeps_trash_apart;        false: writing a block ends its time in the trash
///     static constexpr std::size_t large_block_bytes; a size of several queue lengths
#pragma once

#ifndef KEEPSTORE_VOLUME_MAKERS
#error "define KEEPSTORE_VOLUME_MAKERS before including volume_contract.hpp"
#endif

#include "digest/md5.hpp"
#include "tests/contract/trash_contract.hpp"
#include "tests/contract/volume_harness.hpp"

#include <catch2/catch.hpp>

#include <thread>

namespace keepstore::test {

TEMPLATE_LIST_TEST_CASE("a block reads back as it was written, whatever its size and slices", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const std::size_t large = TestType::large_block_bytes;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{511}, std::size_t{4096}, 64 * KiB,
                                   256 * KiB, 256 * KiB + 1, 1 * MiB, 1 * MiB + 4095, large, large + 1}) {
        for (const std::size_t piece : {256 * KiB, std::size_t{100'001}}) {
            for (const bool size_known : {true, false}) {
                CAPTURE(size, piece, size_known);
                const auto name = random_name();
                const auto content = random_bytes(size);
                const auto known = size_known ? std::optional<std::uint64_t>(size) : std::nullopt;
                REQUIRE(run(write_block(v, name, content, known, piece)).has_value());
                const auto back = get(v, name);
                REQUIRE(back.has_value());
                REQUIRE(*back == content);
            }
        }
    }
}

TEMPLATE_LIST_TEST_CASE("a reader reads any part and is short only at the end", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    const auto content = random_bytes(300'000);
    REQUIRE(put(v, name, content).has_value());
    auto reader = run(v.open(name, soon()));
    REQUIRE(reader.has_value());
    CHECK((*reader)->size() == content.size());
    for (int i = 0; i < 50; ++i) {
        const std::size_t offset = test_random()() % (content.size() + 10);
        const std::size_t want = 1 + test_random()() % content.size();
        const auto into = make_heap_slice(want);
        const auto n = run((*reader)->read_at(offset, into, soon()));
        REQUIRE(n.has_value());
        const std::size_t expected = offset >= content.size() ? 0 : std::min(want, content.size() - offset);
        REQUIRE(*n == expected);
        REQUIRE(std::equal(into.bytes.begin(), into.bytes.begin() + static_cast<std::ptrdiff_t>(expected),
                           content.begin() + static_cast<std::ptrdiff_t>(std::min(offset, content.size()))));
        bytes quick(want);
        if (const auto m = (*reader)->try_read_at(offset, quick)) {
            REQUIRE(*m <= expected);
            REQUIRE((*m > 0 || expected == 0));
            REQUIRE(std::equal(quick.begin(), quick.begin() + static_cast<std::ptrdiff_t>(*m),
                               content.begin() + static_cast<std::ptrdiff_t>(std::min(offset, content.size()))));
        }
    }
}

TEMPLATE_LIST_TEST_CASE("equals_at finds a difference of one byte", "[volumes][contract]", KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    const auto content = random_bytes(200'000);
    REQUIRE(put(v, name, content).has_value());
    auto reader = run(v.open(name, soon()));
    REQUIRE(reader.has_value());
    const auto equal = [&](std::uint64_t offset, const bytes& b) {
        auto r = run((*reader)->equals_at(offset, copy_to_heap_slice(b), soon()));
        REQUIRE(r.has_value());
        return *r;
    };
    CHECK(equal(0, content));
    CHECK(equal(1000, bytes(content.begin() + 1000, content.end())));
    CHECK_FALSE(equal(1, content));
    auto longer = content;
    longer.push_back(std::byte{0});
    CHECK_FALSE(equal(0, longer));
    for (const std::size_t at : {std::size_t{0}, std::size_t{65'536}, content.size() - 1}) {
        auto other = content;
        other[at] ^= std::byte{1};
        CHECK_FALSE(equal(0, other));
    }
}

TEMPLATE_LIST_TEST_CASE("a missing block is not_found for every call", "[volumes][contract]", KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    CHECK(is_error(get(v, name), errc::not_found));
    CHECK(is_error(run(v.mtime(name, soon())), errc::not_found));
    CHECK(is_error(run(v.touch(name, soon())), errc::not_found));
    CHECK(is_error(run(v.trash(name, trash_at_once(), soon())), errc::not_found));
    CHECK(is_error(run(v.untrash(name, soon())), errc::not_found));
    if (auto opened = v.try_open(name)) CHECK(is_error(*opened, errc::not_found));
    CHECK(index_names(v).value().empty());
}

TEMPLATE_LIST_TEST_CASE("writing again replaces the content and renews the mtime", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    const auto before = random_bytes(1000);
    const auto after = random_bytes(2000);
    REQUIRE(put(v, name, before).has_value());
    const auto old = now() - std::chrono::hours(24);
    maker.set_mtime(name, old);
    auto reader = run(v.open(name, soon()));
    REQUIRE(reader.has_value());
    REQUIRE(put(v, name, after).has_value());
    CHECK(get(v, name).value() == after);
    CHECK(run(v.mtime(name, soon())).value() > now() - std::chrono::minutes(1));
    // A reader opened before still reads the old content.
    const auto into = make_heap_slice(before.size());
    REQUIRE(run((*reader)->read_at(0, into, soon())).value() == before.size());
    CHECK(std::ranges::equal(into.bytes, before));
}

TEMPLATE_LIST_TEST_CASE("touch sets the mtime to now", "[volumes][contract]", KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    REQUIRE(put(v, name, random_bytes(10)).has_value());
    maker.set_mtime(name, now() - std::chrono::hours(24));
    CHECK(run(v.mtime(name, soon())).value() < now() - std::chrono::hours(23));
    const auto begin = now();
    REQUIRE(run(v.touch(name, soon())).has_value());
    const auto touched = run(v.mtime(name, soon())).value();
    CHECK(touched >= begin - (TestType::mtime_in_nanoseconds ? std::chrono::seconds(0) : std::chrono::seconds(1)));
    CHECK(touched <= now());
}

TEMPLATE_LIST_TEST_CASE("the index lists name, size and mtime of the blocks with the prefix", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    std::vector<md5_digest> names;
    for (const char* prefix : {"aaa", "aaab", "aab", "abb", "fff", "000"}) {
        names.push_back(random_name(prefix));
        REQUIRE(put(v, names.back(), random_bytes(names.size())).has_value());
    }
    auto sorted = names;
    std::ranges::sort(sorted);
    CHECK(index_names(v).value() == sorted);
    for (const auto& prefix : std::vector<std::string>{"a", "aa", "aaa", "aaab", "f", "00", "123", "fff0000"}) {
        CAPTURE(prefix);
        std::vector<md5_digest> expected;
        for (const auto& n : sorted) {
            if (n.hex().starts_with(prefix)) expected.push_back(n);
        }
        CHECK(index_names(v, prefix).value() == expected);
    }
    CHECK(index_names(v, names[0].hex()).value() == std::vector{names[0]});
    for (const auto& nonsense : std::vector<std::string>{"zip", "A", "aaa-", names[0].hex() + "0", "tmp", ".."}) {
        CHECK(index_names(v, nonsense).value().empty());
    }
    collecting_sink sink;
    REQUIRE(run(v.index(names[2].hex(), sink, soon())).has_value());
    REQUIRE(sink.blocks.size() == 1);
    CHECK(sink.blocks[0].size == 3);
    CHECK(sink.blocks[0].mtime == run(v.mtime(names[2], soon())).value());
}

TEMPLATE_LIST_TEST_CASE("an error of the sink ends the index and is its result", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    class failing_sink final : public volumes::index_sink {
      public:
        awaitable<result<void>> put(std::span<const volumes::block_info>) override { co_return fail(errc::cancelled); }
    };
    TestType maker;
    REQUIRE(put(maker.get(), random_name(), random_bytes(1)).has_value());
    failing_sink sink;
    CHECK(is_error(run(maker.get().index("", sink, soon())), errc::cancelled));
}

TEMPLATE_LIST_TEST_CASE("a writer that is destroyed without commit leaves nothing", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    for (const std::size_t pieces : {0U, 1U, 2U, 8U}) {
        auto writer = run(v.create(name, 4 * MiB, soon()));
        REQUIRE(writer.has_value());
        for (std::size_t i = 0; i < pieces; ++i) {
            REQUIRE(run((*writer)->append(copy_to_heap_slice(random_bytes(256 * KiB)), soon())).has_value());
        }
        CHECK(is_error(run(v.mtime(name, soon())), errc::not_found));
    }
    CHECK(is_error(get(v, name), errc::not_found));
    CHECK(index_names(v).value().empty());
}

TEMPLATE_LIST_TEST_CASE("many blocks can be written concurrently", "[volumes][contract]", KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    constexpr int count = 40;
    std::vector<md5_digest> names;
    std::vector<bytes> contents;
    for (int i = 0; i < count; ++i) {
        names.push_back(random_name(i % 2 == 0 ? "abc" : ""));
        contents.push_back(random_bytes(static_cast<std::size_t>(i) * 20'000));
    }
    asio::io_context context(1);
    int good = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        test::start_work(context, write_block(v, names[i], contents[i], contents[i].size(), 64 * KiB),
                         [&](const result<void>& r) { good += r ? 1 : 0; });
    }
    context.run_for(std::chrono::seconds(30));
    REQUIRE(good == count);
    for (std::size_t i = 0; i < names.size(); ++i) REQUIRE(get(v, names[i]).value() == contents[i]);
    auto sorted = names;
    std::ranges::sort(sorted);
    CHECK(index_names(v).value() == sorted);
}

TEMPLATE_LIST_TEST_CASE("an attribute is stored with the block without changing its content", "[volumes][contract]",
                        KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    const auto content = random_bytes(5000);
    REQUIRE(put(v, name, content).has_value());
    const auto before = run(v.mtime(name, soon())).value();
    auto reader = run(v.open(name, soon()));
    REQUIRE(reader.has_value());
    const auto value = random_bytes(300);
    const auto written = run((*reader)->write_attribute("keepstore.test", value, soon()));
    if (TestType::keeps_attributes) {
        CHECK(run((*reader)->read_attribute("keepstore.none", soon())).error() == errc::not_found);
        REQUIRE(written.has_value());
        CHECK(run((*reader)->read_attribute("keepstore.test", soon())).value() == value);
    } else if (!written) {
        CHECK(written.error() == errc::unsupported);
    }
    CHECK(get(v, name).value() == content);
    CHECK(run(v.mtime(name, soon())).value() == before);
}

TEMPLATE_LIST_TEST_CASE("the counters count operations and bytes", "[volumes][contract]", KEEPSTORE_VOLUME_MAKERS) {
    TestType maker;
    auto& v = maker.get();
    const auto name = random_name();
    const auto content = random_bytes(1000);
    const auto total = [](const volumes::volume_stats& s) {
        std::uint64_t n = 0;
        for (const auto& [operation, count] : s.operations) n += count;
        return n;
    };
    const auto begin = v.stats();
    REQUIRE(put(v, name, content).has_value());
    const auto written = v.stats();
    CHECK(total(written) > total(begin));
    CHECK(written.bytes_out == begin.bytes_out + content.size());
    CHECK(written.errors == begin.errors);
    REQUIRE(get(v, name).has_value());
    const auto read = v.stats();
    CHECK(total(read) > total(written));
    CHECK(read.bytes_in == written.bytes_in + content.size());
    CHECK_FALSE(v.device_id().empty());
    CHECK(v.health().empty());
}

}  // namespace keepstore::test
