// Reading past the page cache, and the metadata of a volume.
#include "volumes/directory/uncached_file.hpp"
#include "tests/support/page_cache.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

using volumes::direct_io;
using volumes::directory_options;

}  // namespace

TEST_CASE("an uncached reader reads any part, aligned or not, and adds nothing to the page cache",
          "[volumes][directory]") {
    for (const auto how : {direct_io::automatic, direct_io::off}) {
        for (const std::size_t size : {std::size_t{1}, std::size_t{4095}, std::size_t{4096}, 64 * KiB, 64 * KiB + 1,
                                       300'000 + 0ul, 1 * MiB + 5}) {
            directory_fixture f(directory_options{.root = {}, .direct = how});
            const auto name = random_name();
            const auto content = random_bytes(size);
            REQUIRE(run(write_block(*f.volume, name, content, size, 256 * KiB)).has_value());
            uncache(f.path_of(name));
            auto opened = run(f.volume->open(name, soon()));
            REQUIRE(opened.has_value());
            auto& reader = **opened;
            reader.bypass_caches();
            std::byte one{};
            CHECK_FALSE(reader.try_read_at(0, std::span(&one, 1)).has_value());
            for (int i = 0; i < 40; ++i) {
                const std::size_t offset = i == 0 ? 0 : test_random()() % (size + 5000);
                const std::size_t want = i == 0 ? size + 10 : 1 + test_random()() % (size + 5000);
                const std::size_t shift = test_random()() % 3 == 0 ? test_random()() % 512 : 0;
                const auto memory = make_heap_slice(want + shift);
                const auto into = memory.subslice(shift);
                const auto n = run(reader.read_at(offset, into, soon()));
                REQUIRE(n.has_value());
                CAPTURE(size, offset, want, shift, how == direct_io::off);
                REQUIRE(*n == (offset >= size ? 0 : std::min(want, size - offset)));
                const auto got = into.bytes.first(*n);
                REQUIRE(std::equal(got.begin(), got.end(),
                                   content.begin() + static_cast<std::ptrdiff_t>(std::min(offset, size))));
            }
            CHECK(cached_pages(f.path_of(name)) == 0);
        }
    }
}

TEST_CASE("an uncached reader leaves cached pages in the cache", "[volumes][directory]") {
    for (const auto how : {direct_io::automatic, direct_io::off}) {
        directory_fixture f(directory_options{.root = {}, .direct = how});
        const auto name = random_name();
        const auto content = random_bytes(1 * MiB);
        REQUIRE(run(write_block(*f.volume, name, content, content.size(), 256 * KiB)).has_value());
        auto usual = run(f.volume->open(name, soon()));
        REQUIRE(usual.has_value());
        const auto all = make_heap_slice(content.size());
        REQUIRE(run((*usual)->read_at(0, all, soon())).has_value());
        CHECK(cached_pages(f.path_of(name)) == 256);
        auto once = run(f.volume->open(name, soon()));
        REQUIRE(once.has_value());
        (*once)->bypass_caches();
        REQUIRE(run((*once)->read_at(0, all, soon())).has_value());
        CHECK(cached_pages(f.path_of(name)) == 256);
        CHECK(std::ranges::equal(all.bytes, content));
    }
}

TEST_CASE("an uncached reader works on tmpfs", "[volumes][directory]") {
    directory_fixture f({}, in_memory());
    const auto name = random_name();
    const auto content = random_bytes(300'001);
    REQUIRE(run(write_block(*f.volume, name, content, content.size(), 256 * KiB)).has_value());
    auto opened = run(f.volume->open(name, soon()));
    REQUIRE(opened.has_value());
    (*opened)->bypass_caches();
    const auto all = make_heap_slice(content.size());
    const auto n = run((*opened)->read_at(0, all, soon()));
    REQUIRE(n.has_value());
    CHECK(*n == content.size());
    CHECK(std::ranges::equal(all.bytes, content));
}

TEST_CASE("metadata of a volume survives a restart, without a file for it", "[volumes][directory]") {
    directory_fixture f;
    CHECK(run(f.volume->load_metadata("keepstore.test", soon())).error() == errc::not_found);
    const auto note = random_bytes(500);
    const auto saved = run(f.volume->save_metadata("keepstore.test", note, soon()));
    if (!saved && saved.error() == errc::unsupported) return;  // A file system without attributes.
    REQUIRE(saved.has_value());
    f.open();
    const auto loaded = run(f.volume->load_metadata("keepstore.test", soon()));
    REQUIRE(loaded.has_value());
    CHECK(*loaded == note);
    CHECK(std::filesystem::is_empty(f.dir.path()));
    // A value that is too large does not count as an error of the volume.
    CHECK(run(f.volume->save_metadata("keepstore.test", random_bytes(100'000), soon())).error() == errc::unsupported);
    CHECK(*run(f.volume->load_metadata("keepstore.test", soon())) == note);
}

}  // namespace keepstore::test
