// Small blocks opened, read and closed in one call.
#include "tests/support/page_cache.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"
#include "volumes/directory/directory_volume.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

using volumes::direct_io;
using volumes::directory_options;

constexpr std::size_t page = 4096;

volumes::whole_read wanted(const md5_digest& name, std::size_t room, std::size_t shift = 0) {
    const auto memory = make_heap_slice(room + 2 * page);
    const auto at = reinterpret_cast<std::uintptr_t>(memory.bytes.data()) % page;
    return {name, memory.subslice(page - at + shift, room)};
}

}  // namespace

TEST_CASE("read_whole returns the bytes of blocks and adds nothing to the page cache", "[volumes][directory]") {
    for (const auto how : {direct_io::automatic, direct_io::off}) {
        for (const bool disk : {true, false}) {
            directory_fixture f(directory_options{.root = {}, .direct = how}, disk ? on_disk() : in_memory());
            std::vector<volumes::whole_read> blocks;
            std::vector<bytes> contents;
            // Room for whole pages, exactly what is needed, and memory that no device takes.
            for (const std::size_t shift : {std::size_t{0}, std::size_t{512}, std::size_t{3}}) {
                for (const std::size_t size :
                     {std::size_t{0}, std::size_t{1}, page - 1, page, page + 1, 64 * KiB, 100'001 + 0ul, 256 * KiB}) {
                    for (const bool tight : {false, true}) {
                        const auto name = random_name();
                        contents.push_back(random_bytes(size));
                        REQUIRE(run(write_block(*f.volume, name, contents.back(), size, 256 * KiB)).has_value());
                        if (disk) uncache(f.path_of(name));
                        blocks.push_back(wanted(name, tight ? size : (size + page - 1) / page * page, shift));
                    }
                }
            }
            REQUIRE(f.volume->can_read_whole());
            const auto got = run(f.volume->read_whole(blocks, soon()));
            REQUIRE(got.has_value());
            REQUIRE(got->size() == blocks.size());
            for (std::size_t i = 0; i < blocks.size(); ++i) {
                CAPTURE(i, contents[i].size(), disk, how == direct_io::off);
                REQUIRE((*got)[i].has_value());
                REQUIRE(*(*got)[i] == contents[i].size());
                REQUIRE(std::ranges::equal(blocks[i].into.bytes.first(contents[i].size()), contents[i]));
                if (disk) CHECK(cached_pages(f.path_of(blocks[i].name)) == 0);
            }
        }
    }
}

TEST_CASE("a block that read_whole cannot read gets its own error and does not affect the others",
          "[volumes][directory]") {
    for (const auto how : {direct_io::automatic, direct_io::off}) {
        directory_fixture f(directory_options{.root = {}, .direct = how});
        const auto good = random_name();
        const auto longer = random_name();
        const auto missing = random_name();
        const auto folder = random_name();
        const auto link = random_name();
        const auto pipe = random_name();
        const auto content = random_bytes(5000);
        for (const auto& n : {good, longer}) {
            REQUIRE(run(write_block(*f.volume, n, content, content.size(), 256 * KiB)).has_value());
        }
        std::filesystem::create_directories(f.path_of(folder));
        std::filesystem::create_directories(f.path_of(link).parent_path());
        std::filesystem::create_symlink(f.path_of(good), f.path_of(link));
        std::filesystem::create_directories(f.path_of(pipe).parent_path());
        REQUIRE(::mkfifo(f.path_of(pipe).c_str(), 0600) == 0);

        auto too_long = wanted(longer, page);
        too_long.into.bytes[0] = std::byte{42};
        const auto got = run(f.volume->read_whole({wanted(missing, page), wanted(folder, page), wanted(link, page),
                                                   wanted(pipe, page), too_long, wanted(good, 2 * page)},
                                                  soon()));
        REQUIRE(got.has_value());
        REQUIRE(got->size() == 6);
        for (std::size_t i = 0; i < 4; ++i) {
            CAPTURE(i);
            REQUIRE_FALSE((*got)[i].has_value());
            CHECK((*got)[i].error() == errc::not_found);
        }
        CHECK((*got)[4].value() == content.size());
        CHECK(too_long.into.bytes[0] == std::byte{42});
        CHECK((*got)[5].value() == content.size());
    }
}

TEST_CASE("a serialized volume does not support read_whole", "[volumes][directory]") {
    directory_fixture f(directory_options{.root = {}, .serialize = true});
    CHECK_FALSE(f.volume->can_read_whole());
    CHECK(run(f.volume->read_whole({wanted(random_name(), page)}, soon())).error() == errc::unsupported);
}

}  // namespace keepstore::test
