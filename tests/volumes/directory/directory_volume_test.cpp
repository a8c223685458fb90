// Tests of the Directory driver alone (the rows of the Go daemon's unix_volume_test, and ours).
#include "base/unique_fd.hpp"
#include "digest/md5.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"
#include "volumes/directory/file_time.hpp"
#include "volumes/directory/fsync_group_commit.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

#include <cstdlib>
#include <limits>
#include <set>
#include <thread>

namespace keepstore::test {
namespace {

namespace fs = std::filesystem;

}  // namespace

TEST_CASE("a block is Root/abc/abc..., mode 0600, folders 0755 less the umask", "[volumes][layout]") {
    const auto parent = GENERATE(as<fs::path>(), on_disk(), in_memory());
    directory_fixture f({.free_bytes_min = 0}, parent);
    for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}, mode_t{0277}}) {
        const mode_t before = ::umask(mask);
        const auto name = random_name();
        const auto content = random_bytes(2 * MiB);
        const auto r = put(*f.volume, name, content);
        ::umask(before);
        REQUIRE(r.has_value());
        struct stat file{};
        struct stat dir{};
        REQUIRE(::stat(f.path_of(name).c_str(), &file) == 0);
        REQUIRE(::stat(f.path_of(name).parent_path().c_str(), &dir) == 0);
        CHECK((file.st_mode & 07777) == 0600);
        CHECK((dir.st_mode & 07777) == (0755U & ~mask));
        CHECK(file.st_size == static_cast<off_t>(content.size()));
    }
    CHECK(f.count_files("tmp") == 0);
}

TEST_CASE("the trash copy is named after its deadline", "[volumes][layout]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    const auto begin = seconds_from_now(3600);
    REQUIRE(run(f.volume->trash(name, trash_at_once(), soon())).has_value());
    const auto end = seconds_from_now(3600);
    bool found = false;
    for (auto t = begin; t <= end; ++t)
        found = found || fs::exists(fmt::format("{}.trash.{}", f.path_of(name).string(), t));
    CHECK(found);
}

TEST_CASE("the root must be an absolute path of a directory that exists", "[volumes][root]") {
    CHECK(volumes::open_directory_volume({.root = "relative"}).error() == errc::bad_request);
    CHECK(volumes::open_directory_volume({.root = ""}).error() == errc::bad_request);
    CHECK(volumes::open_directory_volume({.root = "/nonexistent/keep"}).error() == errc::not_found);
}

TEST_CASE("another daemon's mark is honoured, re-checked, and ignored when stale", "[volumes][full]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto mark = f.dir.path() / "full";
    const auto try_put = [&] { return put(*f.volume, random_name(), random_bytes(10)); };

    fs::create_symlink(std::to_string(seconds_from_now(-3605)), mark);
    f.open();
    CHECK(try_put().has_value());
    fs::remove(mark);
    fs::create_symlink("nonsense", mark);
    f.open();
    CHECK(try_put().has_value());
    fs::remove(mark);
    fs::create_symlink(std::to_string(seconds_from_now(-5)), mark);
    f.open();
    CHECK(is_error(try_put(), errc::no_space));
    REQUIRE(eventually([&] { return try_put().has_value(); }));  // After 5 s, long before the mark is stale.
    CHECK(fs::is_symlink(mark));                                 // Another daemon's mark is not removed.
}

TEST_CASE("a volume with too little free space is full from the start, and marked for other daemons",
          "[volumes][full]") {
    directory_fixture f({.free_bytes_min = std::uint64_t{1} << 60});
    CHECK(is_error(put(*f.volume, random_name(), random_bytes(1)), errc::no_space));
    CHECK(std::abs(std::stoll(fs::read_symlink(f.dir.path() / "full").string()) - seconds_from_now(0)) < 10);
}

TEST_CASE("only regular files in the right folder are blocks", "[volumes][index]") {
    const auto parent = GENERATE(as<fs::path>(), on_disk(), in_memory());
    directory_fixture f({.free_bytes_min = 0}, parent);
    const auto good = random_name("abc");
    REQUIRE(put(*f.volume, good, random_bytes(7)).has_value());
    const auto root = f.dir.path();
    const std::string tail(29, '1');
    directory_fixture::write_file(root / ("abc" + tail));          // A hash in the root.
    directory_fixture::write_file(root / "abc" / ("abd" + tail));  // In the wrong folder.
    directory_fixture::write_file(root / "abc" / "short");
    directory_fixture::write_file(root / "abc" / ("ABC" + tail));
    directory_fixture::write_file(root / "abc" / ("abc" + tail + "1"));
    directory_fixture::write_file(root / "ABC" / ("abc" + tail));
    directory_fixture::write_file(root / ".aaa" / ("aaa" + tail));
    directory_fixture::write_file(root / "ab0");  // A file where a folder should be.
    const auto dir_name = random_name("abc");
    fs::create_directory(f.path_of(dir_name));
    const auto link_name = random_name("abc");
    fs::create_symlink(f.path_of(good), f.path_of(link_name));
    const auto pipe_name = random_name("abc");
    REQUIRE(::mkfifo(f.path_of(pipe_name).c_str(), 0600) == 0);
    const temp_dir elsewhere;
    fs::create_directory_symlink(elsewhere.path(), root / "abe");  // A folder that is a link.
    const auto linked_away = random_name("abe");
    directory_fixture::write_file(elsewhere.path() / linked_away.hex());

    CHECK(index_names(*f.volume).value() == std::vector{good});
    CHECK(index_names(*f.volume, "ab").value() == std::vector{good});
    // The others are counted, each in one part of a listing that is cut into parts.
    CHECK(index_foreign(*f.volume).value() == 9);
    CHECK(index_foreign(*f.volume, "0").value() == 2);  // Those in the root.
    CHECK(index_foreign(*f.volume, "00").value() == 2);
    CHECK(index_foreign(*f.volume, "a").value() == 7);
    CHECK(index_foreign(*f.volume, "abc").value() == 7);
    CHECK(index_foreign(*f.volume, "abd").value() == 0);
    CHECK(index_foreign(*f.volume, "abc" + tail).value() == 1);
    // What keepstores make is not foreign.
    directory_fixture::write_file(root / "abc" / ("abc" + tail + ".trash.2000000000"));
    directory_fixture::write_file(root / "abc" / ("tmpabc" + tail + "12345"));
    directory_fixture::write_file(root / ".keepstore-probe");
    CHECK(index_foreign(*f.volume).value() == 9);
    for (const auto& odd : {dir_name, link_name, pipe_name, linked_away, random_name("ab0")}) {
        CAPTURE(odd.hex());
        CHECK(is_error(run(f.volume->open(odd, soon())), errc::not_found));
        if (const auto quick = f.volume->try_open(odd)) CHECK(is_error(*quick, errc::not_found));
        CHECK(is_error(run(f.volume->touch(odd, soon())), errc::not_found));
        CHECK(is_error(run(f.volume->mtime(odd, soon())), errc::not_found));
        CHECK(is_error(run(f.volume->trash(odd, trash_at_once(), soon())), errc::not_found));
    }
    // A block can take the place of a link or a pipe.
    CHECK(put(*f.volume, link_name, random_bytes(5)).has_value());
    CHECK(put(*f.volume, pipe_name, random_bytes(5)).has_value());
    CHECK(get(*f.volume, good).value().size() == 7);
}

TEST_CASE("an index of many blocks comes in batches and is complete while other blocks are written and trashed",
          "[volumes][index]") {
    directory_fixture f({.free_bytes_min = 0}, in_memory());
    std::set<md5_digest> stable;
    for (int i = 0; i < 20'000; ++i) {
        const auto name = random_name(i % 2 == 0 ? "fff" : "");
        directory_fixture::write_file(f.path_of(name));
        stable.insert(name);
    }
    std::atomic<bool> stop = false;
    std::thread disturber([&] {
        while (!stop) {
            const auto name = random_name("fff");
            static_cast<void>(put(*f.volume, name, bytes(10)));
            static_cast<void>(run(f.volume->trash(name, trash_at_once(std::chrono::hours(0)), soon())));
        }
    });
    for (int i = 0; i < 3; ++i) {
        collecting_sink sink;
        REQUIRE(run(f.volume->index("", sink, deadline::never())).has_value());
        CHECK(sink.batches > 5);
        std::multiset<md5_digest> seen;
        for (const auto& b : sink.blocks) seen.insert(b.name);
        std::size_t once = 0;
        for (const auto& name : stable) once += seen.count(name) == 1 ? 1U : 0U;
        CHECK(once == stable.size());
    }
    stop = true;
    disturber.join();
}

TEST_CASE("nothing on a volume that may not be written changes, but for trash", "[volumes][read-only]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto content = random_bytes(1000);
    const auto name = digest::md5_of(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    f.volume.reset();  // Its walk for left-over files may still run.
    const auto upload = f.path_of(name).parent_path() / ("tmp" + name.hex() + "12345678901234567890");
    directory_fixture::write_file(upload);
    const auto old = upload.parent_path() / ("tmp" + name.hex() + "1234567890");
    directory_fixture::write_file(old);
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(48));
    directory_fixture::write_file(f.path_of(name).string() + ".trash.1");

    f.options.may_write = false;
    f.options.serialize = true;  // A sweep at the start would come before the calls below.
    f.options.free_bytes_min = std::numeric_limits<std::uint64_t>::max();  // Full, but it must not say so.
    f.open();
    CHECK(get(*f.volume, name).value() == content);
    CHECK(index_names(*f.volume).value() == std::vector{name});
    CHECK(is_error(put(*f.volume, name, content), errc::unsupported));
    CHECK(is_error(run(f.volume->touch(name, soon())), errc::unsupported));
    CHECK(is_error(run(f.volume->untrash(name, soon())), errc::unsupported));
    CHECK(is_error(run(f.volume->save_metadata("keepstore.scrub", {}, soon())), errc::unsupported));
    auto reader = run(f.volume->open(name, soon())).value();
    CHECK(is_error(run(reader->write_attribute("keepstore.x", {}, soon())), errc::unsupported));
    const auto emptied = run(f.volume->empty_trash(2, soon()));  // AllowTrashWhenReadOnly.
    CHECK(emptied.value().blocks_deleted == 1);
    CHECK(fs::exists(upload));
    CHECK(fs::exists(old));
    CHECK_FALSE(fs::is_symlink(f.dir.path() / "full"));
    CHECK(run(f.volume->trash(name, trash_at_once(), soon())).value() == volumes::trash_outcome::trashed);
}

TEST_CASE("left-over temp files are removed at start: ours unless locked, the Go daemon's when old",
          "[volumes][sweep]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto dir = f.dir.path() / "abc";
    const std::string stem = "tmp" + random_name("abc").hex();
    const auto orphan = dir / (stem + "12345678901234567890");
    const auto locked = dir / (stem + "12345678901234567891");
    const auto young_foreign = dir / (stem + "1234567890");
    const auto old_foreign = dir / (stem + "1234567891");
    const auto other = dir / "tmpfile";
    for (const auto& p : {orphan, young_foreign, old_foreign, other}) directory_fixture::write_file(p);
    fs::last_write_time(old_foreign, fs::file_time_type::clock::now() - std::chrono::hours(25));
    // The walk of the fixture's own start may still run: the file is locked before it has its name.
    directory_fixture::write_file(dir / "unnamed");
    const unique_fd holder(::open((dir / "unnamed").c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(::flock(holder.get(), LOCK_EX) == 0);
    fs::rename(dir / "unnamed", locked);

    SECTION("by the walk after the start") {
        f.open();
        CHECK(eventually([&] { return !fs::exists(orphan) && !fs::exists(old_foreign); }));
    }
    SECTION("when trash is emptied") {
        REQUIRE(run(f.volume->empty_trash(1, soon())).has_value());
        CHECK_FALSE(fs::exists(orphan));
        CHECK_FALSE(fs::exists(old_foreign));
    }
    REQUIRE(run(f.volume->empty_trash(1, soon())).has_value());
    CHECK(fs::exists(locked));
    CHECK(fs::exists(young_foreign));
    CHECK(fs::exists(other));
}

TEST_CASE("a call waits for a lock of another process up to its deadline", "[volumes][lock]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    const unique_fd holder(::open(f.path_of(name).c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(::flock(holder.get(), LOCK_EX) == 0);
    const auto shortly = [] { return deadline::in(std::chrono::milliseconds(150)); };
    CHECK(is_error(run(f.volume->touch(name, shortly())), errc::timeout));
    CHECK(is_error(run(f.volume->trash(name, trash_at_once(), shortly())), errc::timeout));
    CHECK(get(*f.volume, name).has_value());  // Reading needs no lock.
    ::flock(holder.get(), LOCK_UN);
    CHECK(run(f.volume->touch(name, soon())).has_value());
}

TEST_CASE("a call that waits for a serialized volume can be cancelled", "[volumes][serialize]") {
    directory_fixture f({.serialize = true, .free_bytes_min = 0});
    const auto name = random_name();
    const auto other = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    REQUIRE(put(*f.volume, other, random_bytes(10)).has_value());
    const unique_fd holder(::open(f.path_of(name).c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(::flock(holder.get(), LOCK_EX) == 0);
    asio::io_context context(1);
    asio::cancellation_signal signal;
    std::optional<result<void>> first;
    std::optional<result<volumes::block_time>> second;
    test::start_work(context, f.volume->touch(name, deadline::in(std::chrono::seconds(2))),
                     [&](result<void> r) { first = std::move(r); });
    const auto waiting = [](volumes::volume& v, md5_digest n) -> awaitable<result<volumes::block_time>> {
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await v.mtime(n, soon());
    };
    test::start_work(context, waiting(*f.volume, other), signal.slot(), [&](result<volumes::block_time> r) {
        second = std::move(r);
        ::flock(holder.get(), LOCK_UN);
    });
    asio::post(context, [&] { asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); }); });
    context.run_for(std::chrono::seconds(10));
    REQUIRE(first);
    REQUIRE(second);
    CHECK(is_error(*second, errc::cancelled));
    CHECK(first->has_value());
}

TEST_CASE("the counters have the Go daemon's names, and a missing block is not counted as an error",
          "[volumes][stats]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    auto stats = f.volume->stats();
    const std::map<std::string, std::uint64_t> no_errors{
        {"*fs.PathError", 0}, {"*os.LinkError", 0}, {"syscall.Errno", 0}};
    CHECK(stats.errors == no_errors);
    REQUIRE(stats.space);
    CHECK(stats.space->size_bytes > 0);
    CHECK(stats.space->available_bytes <= stats.space->size_bytes);
    CHECK(stats.operations.at("create") == 1);
    CHECK(stats.operations.at("rename") == 1);
    CHECK(stats.operations.at("utimes") == 1);
    CHECK(stats.operations.at("unlink") == 0);
    CHECK(is_error(get(*f.volume, random_name("abc")), errc::not_found));
    CHECK(f.volume->stats().errors == no_errors);
    REQUIRE(run(f.volume->touch(name, soon())).has_value());
    REQUIRE(run(f.volume->trash(name, trash_at_once(std::chrono::hours(0)), soon())).has_value());
    stats = f.volume->stats();
    CHECK(stats.operations.at("flock") == 2);
    CHECK(stats.operations.at("unlink") == 1);
    CHECK(stats.bytes_out == 10);
    CHECK(f.volume->device_id().ends_with(f.dir.path().string()));
}

TEST_CASE("try_open and try_read_at serve cached blocks without a thread", "[volumes][cached]") {
    directory_fixture f({.direct = volumes::direct_io::off, .free_bytes_min = 0});
    const auto name = random_name();
    const auto content = random_bytes(100'000);
    REQUIRE(put(*f.volume, name, content).has_value());
    auto opened = f.volume->try_open(name);
    if (!opened) {
        WARN("skipped: this kernel or file system has no cached open");
        return;
    }
    REQUIRE(opened->has_value());
    bytes into(content.size());
    CHECK((**opened)->try_read_at(0, into) == content.size());
    CHECK(into == content);
    CHECK((**opened)->try_read_at(content.size(), into) == std::size_t{0});
}

TEST_CASE("calls that wait for a directory sync share the next one", "[volumes][sync]") {
    const temp_dir dir;
    const unique_fd fd(::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    volumes::directory::fsync_group_commit syncs;
    constexpr unsigned long threads = 8;
    constexpr unsigned long rounds = 50;
    std::atomic<int> failures = 0;
    std::vector<std::thread> workers;
    for (unsigned long t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            for (unsigned long i = 0; i < rounds; ++i) {
                directory_fixture::write_file(dir.path() / fmt::format("{}-{}", t, i));
                failures += syncs.sync(1, fd.get()) == 0 ? 0 : 1;
            }
        });
    }
    for (auto& w : workers) w.join();
    CHECK(failures == 0);
    CHECK(syncs.calls() >= rounds);
    CHECK(syncs.calls() < threads * rounds);
    CHECK(syncs.sync(2, -1) == EBADF);  // An error reaches the caller.
}

}  // namespace keepstore::test
