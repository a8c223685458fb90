/// Trash of a Directory volume, and the times that decide about it.
#include "digest/md5.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"
#include "volumes/directory/file_time.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <limits>

namespace keepstore::test {
namespace {

namespace fs = std::filesystem;

}  // namespace

TEST_CASE("emptying trash visits hex-named directories only, at any depth", "[volumes][trash]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto root = f.dir.path();
    const std::string hash(32, 'a');
    const auto due = hash + ".trash." + std::to_string(seconds_from_now(-10));
    const auto later = hash + ".trash." + std::to_string(seconds_from_now(1000));
    for (const char* dir : {"", "aaa", "aaa/bbb", "0", ".aaa", "ABC", "xyz", "aaa/.b"}) {
        directory_fixture::write_file(root / dir / due);
        directory_fixture::write_file(root / dir / later);
    }
    directory_fixture::write_file(root / "aaa" / (hash + ".trash.x"));
    const auto stats = run(f.volume->empty_trash(4, soon()));
    REQUIRE(stats.has_value());
    CHECK(stats->blocks_deleted == 4);
    CHECK(stats->bytes_deleted == 4);
    CHECK(stats->blocks_in_trash == 4);
    for (const char* dir : {"", "aaa", "aaa/bbb", "0"}) CHECK_FALSE(fs::exists(root / dir / due));
    for (const char* dir : {".aaa", "ABC", "xyz", "aaa/.b"}) CHECK(fs::exists(root / dir / due));
    CHECK(f.count_files(later) == 8);
}

TEST_CASE("untrash restores the copy that would be deleted last", "[volumes][trash]") {
    directory_fixture f({.free_bytes_min = 0});
    const std::string content = "the same in all";
    const auto name = digest::md5_of(std::as_bytes(std::span(content)));
    const auto path = f.path_of(name).string();
    // In byte order the last is not the latest.
    for (const char* due : {"999999999", "4000000000", "2000000000", "zzz"}) {
        directory_fixture::write_file(path + ".trash." + due, content);
    }
    REQUIRE(run(f.volume->untrash(name, soon())).has_value());
    CHECK(get(*f.volume, name).value().size() == content.size());
    CHECK_FALSE(fs::exists(path + ".trash.4000000000"));
    CHECK(f.count_files(name.hex()) == 4);
}

TEST_CASE("untrash replaces a corrupt copy by a good one from the trash", "[volumes][trash]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto content = random_bytes(300'000);
    const auto name = digest::md5_of(content);
    const auto path = f.path_of(name).string();
    const auto text = [](const bytes& of) { return std::string(reinterpret_cast<const char*>(of.data()), of.size()); };
    auto rotten = content;
    rotten[200'000] ^= std::byte{1};

    SECTION("a good copy is in the trash") {
        directory_fixture::write_file(path, text(rotten));
        directory_fixture::write_file(path + ".trash.4000000000", text(rotten));
        directory_fixture::write_file(path + ".trash.3000000000", text(content));
        const auto later = now() + std::chrono::hours(1);
        f.set_mtime(name, later);
        REQUIRE(run(f.volume->untrash(name, soon())).has_value());
        CHECK((get(*f.volume, name).value() == content));
        CHECK(fs::exists(path + ".trash.4000000000"));
        CHECK_FALSE(fs::exists(path + ".trash.3000000000"));
        CHECK(run(f.volume->mtime(name, soon())).value() >= later);
    }
    SECTION("no copy is good: nothing changes") {
        directory_fixture::write_file(path, text(rotten));
        directory_fixture::write_file(path + ".trash.4000000000", "x");
        f.set_mtime(name, now() - std::chrono::hours(2));
        CHECK(is_error(run(f.volume->untrash(name, soon())), errc::checksum_mismatch));
        CHECK((get(*f.volume, name).value() == rotten));
        CHECK(fs::exists(path + ".trash.4000000000"));
        CHECK(run(f.volume->mtime(name, soon())).value() < now() - std::chrono::hours(1));
    }
    SECTION("without a block and without a good copy the latest is restored, and said to be corrupt") {
        directory_fixture::write_file(path + ".trash.4000000000", text(rotten));
        directory_fixture::write_file(path + ".trash.3000000000", "x");
        CHECK(is_error(run(f.volume->untrash(name, soon())), errc::checksum_mismatch));
        CHECK((get(*f.volume, name).value() == rotten));
        CHECK(run(f.volume->mtime(name, soon())).value() > now() - std::chrono::minutes(1));
    }
    SECTION("without a block the latest good copy is restored") {
        directory_fixture::write_file(path + ".trash.4000000000", text(rotten));
        directory_fixture::write_file(path + ".trash.3000000000", text(content));
        directory_fixture::write_file(path + ".trash.2000000000", text(content));
        REQUIRE(run(f.volume->untrash(name, soon())).has_value());
        CHECK((get(*f.volume, name).value() == content));
        CHECK_FALSE(fs::exists(path + ".trash.3000000000"));
        CHECK(f.count_files(name.hex()) == 3);
    }
}

TEST_CASE("no call sets the time of a block back", "[volumes][times]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto content = random_bytes(1000);
    const auto name = digest::md5_of(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    // As if the clock had been set back since.
    const auto later = now() + std::chrono::hours(20);
    const auto mtime = [&] { return run(f.volume->mtime(name, soon())).value(); };
    f.set_mtime(name, later);
    REQUIRE(run(f.volume->touch(name, soon())).has_value());
    CHECK(mtime() == later);
    REQUIRE(put(*f.volume, name, content).has_value());
    CHECK(mtime() == later);
    fs::rename(f.path_of(name), f.path_of(name).string() + ".trash.4000000000");
    REQUIRE(run(f.volume->untrash(name, soon())).has_value());
    CHECK(mtime() == later);
    f.set_mtime(name, now() - std::chrono::hours(2));
    REQUIRE(run(f.volume->touch(name, soon())).has_value());
    CHECK(mtime() > now() - std::chrono::minutes(1));
    CHECK(mtime() <= now());
}

TEST_CASE("a block from a time that cannot be represented is kept", "[volumes][times]") {
    using volumes::directory::to_block_time;
    constexpr auto latest = volumes::block_time::max();
    CHECK(to_block_time(9'223'372'036, 854'775'807) == latest);
    CHECK(to_block_time(9'223'372'037, 0) == latest);
    CHECK(to_block_time(std::numeric_limits<std::int64_t>::max(), 999'999'999) == latest);
    CHECK(to_block_time(std::numeric_limits<std::int64_t>::min(), 0) == volumes::block_time::min());
    CHECK(to_block_time(9'223'372'035, 5).time_since_epoch().count() == 9'223'372'035'000'000'005);
    CHECK(to_block_time(-1, 5).time_since_epoch().count() == -999'999'995);

    const auto parent = GENERATE(as<fs::path>(), on_disk(), in_memory());
    directory_fixture f({.free_bytes_min = 0}, parent);
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    // 2300, 2446 (the last year of ext4), and far beyond.
    for (const std::int64_t seconds : {10'413'792'000LL, 15'032'385'535LL, 100'000'000'000LL}) {
        CAPTURE(seconds);
        const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
        REQUIRE(::utimensat(AT_FDCWD, f.path_of(name).c_str(), times, 0) == 0);
        CHECK(run(f.volume->mtime(name, soon())).value() == latest);
        CHECK(run(f.volume->trash(name, trash_at_once(), soon())).value() == volumes::trash_outcome::too_new);
        REQUIRE(run(f.volume->touch(name, soon())).has_value());
        collecting_sink sink;
        REQUIRE(run(f.volume->index("", sink, soon())).has_value());
        REQUIRE(sink.blocks.size() == 1);
        CHECK(sink.blocks[0].mtime == latest);
    }
}

}  // namespace keepstore::test
