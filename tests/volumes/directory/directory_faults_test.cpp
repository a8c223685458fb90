// File systems that lack a feature, programs that interfere in the middle of a call, and disks that are slow: what a
// test of the real file system meets by luck only.
#include "digest/md5.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/file_calls.hpp"
#include "volumes/directory/block_calls.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/index_scan.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <set>

namespace keepstore::test {
namespace {

namespace fs = std::filesystem;

using volumes::trash_outcome;

/// What is logged while it lives.
class log_lines {
  public:
    log_lines() : copy_(::dup(STDERR_FILENO)) {
        log::flush();
        const auto path = dir_.path() / "log";
        const unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600));
        ::dup2(file.get(), STDERR_FILENO);
    }
    ~log_lines() {
        log::flush();
        ::dup2(copy_.get(), STDERR_FILENO);
    }
    log_lines(const log_lines&) = delete;
    log_lines& operator=(const log_lines&) = delete;

    [[nodiscard]] std::size_t count(const std::string& text) const {
        log::flush();
        std::ifstream in(dir_.path() / "log");
        std::size_t n = 0;
        for (std::string line; std::getline(in, line);) n += line.find(text) != std::string::npos ? 1U : 0U;
        return n;
    }

  private:
    const temp_dir dir_;
    const unique_fd copy_;
};

struct named_block {
    bytes content = random_bytes(1000);
    md5_digest name = digest::md5_of(content);
};

volumes::trash_options older_than_an_hour(std::chrono::nanoseconds lifetime = std::chrono::hours(1)) {
    return {.protect_for = std::chrono::hours(1), .lifetime = lifetime};
}

/// Every call on a block once: also a write over a copy that is there.
void exercise(directory_fixture& f) {
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    f.set_mtime(block.name, now() - std::chrono::hours(2));
    REQUIRE(run(f.volume->touch(block.name, soon())).has_value());
    CHECK(run(f.volume->trash(block.name, older_than_an_hour(), soon())).value() == trash_outcome::too_new);
    f.set_mtime(block.name, now() - std::chrono::hours(2));
    CHECK(run(f.volume->trash(block.name, older_than_an_hour(), soon())).value() == trash_outcome::trashed);
    CHECK(is_error(get(*f.volume, block.name), errc::not_found));
    REQUIRE(run(f.volume->untrash(block.name, soon())).has_value());
    CHECK(get(*f.volume, block.name).value() == block.content);
    CHECK(run(f.volume->mtime(block.name, soon())).value() > now() - std::chrono::minutes(1));
    collecting_sink sink;
    REQUIRE(run(f.volume->index("", sink, soon())).has_value());
    REQUIRE(sink.blocks.size() == 1);
    CHECK(sink.blocks[0].name == block.name);
    CHECK(sink.blocks[0].size == block.content.size());
    CHECK(sink.blocks[0].mtime == run(f.volume->mtime(block.name, soon())).value());
    REQUIRE(run(f.volume->trash(block.name, trash_at_once(std::chrono::hours(0)), soon())).has_value());
    CHECK(is_error(run(f.volume->untrash(block.name, soon())), errc::not_found));
    CHECK(f.count_files(block.name.hex()) == 0);
    CHECK(f.count_files("tmp") == 0);
}

}  // namespace

TEST_CASE("a file system without a feature stores, trashes and lists all the same, with one warning",
          "[volumes][features]") {
    struct lack {
        const char* what;
        std::function<int(file_call, int)> hook;
        const char* warning;
    };
    const auto without = [](file_call which, int number) {
        return [which, number](file_call call, int) { return call == which ? number : 0; };
    };
    const lack all[] = {
        {"flock: ENOLCK", without(file_call::flock, ENOLCK), "no flock"},
        {"flock: EOPNOTSUPP", without(file_call::flock, EOPNOTSUPP), "no flock"},
        {"flock: ENOSYS", without(file_call::flock, ENOSYS), "no flock"},
        {"fsync of directories: EINVAL",
         [](file_call call, int fd) { return call == file_call::fsync && is_directory(fd) ? EINVAL : 0; },
         "does not sync directories"},
        {"statx: EPERM", without(file_call::statx, EPERM), "statx is refused"},
        {"statx: ENOSYS", without(file_call::statx, ENOSYS), "statx is refused"},
        {"RENAME_NOREPLACE: EINVAL", without(file_call::renameat2, EINVAL), nullptr},
        {"neither that nor hard links: EPERM",
         [](file_call call, int) {
             if (call == file_call::linkat) return EPERM;
             return call == file_call::renameat2 ? EINVAL : 0;
         },
         "nor hard links"},
        {"neither that nor hard links: EOPNOTSUPP",
         [](file_call call, int) { return call == file_call::linkat || call == file_call::renameat2 ? EOPNOTSUPP : 0; },
         "nor hard links"},
    };
    for (const auto& one : all) {
        DYNAMIC_SECTION(one.what) {
            directory_fixture f({.free_bytes_min = 0});
            const file_call_watch watch(one.hook);
            const log_lines lines;
            exercise(f);
            exercise(f);
            if (one.warning != nullptr) CHECK(lines.count(one.warning) == 1);
            CHECK(lines.count("\"level\":\"warning\"") == (one.warning != nullptr ? 1 : 0));
            f.volume.reset();
        }
    }
}

TEST_CASE("the first call that meets a missing feature works without it", "[volumes][features]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    const std::string content(reinterpret_cast<const char*>(block.content.data()), block.content.size());
    const file_call_watch watch([](file_call call, int) {
        if (call == file_call::linkat) return EOPNOTSUPP;
        return call == file_call::renameat2 ? EINVAL : 0;
    });
    const log_lines lines;
    // No write has found out before, and each start begins anew.
    directory_fixture::write_file(f.path_of(block.name), content);
    f.set_mtime(block.name, now() - std::chrono::hours(2));
    CHECK(run(f.volume->trash(block.name, older_than_an_hour(), soon())).value() == trash_outcome::trashed);
    f.open();
    REQUIRE(run(f.volume->untrash(block.name, soon())).has_value());
    CHECK(get(*f.volume, block.name).value() == block.content);
    CHECK(lines.count("nor hard links") == 1);
    f.volume.reset();
}

TEST_CASE("without flock a temp file of a running daemon is not taken for a left-over one", "[volumes][features]") {
    directory_fixture f({.free_bytes_min = 0});
    f.volume.reset();  // Its walk for left-over files may still run, and has locks.
    const auto stem = (f.dir.path() / "abc" / ("tmp" + random_name("abc").hex())).string();
    const auto young = stem + "12345678901234567890";
    const auto old = stem + "12345678901234567891";
    directory_fixture::write_file(young);
    directory_fixture::write_file(old);
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(25));
    const file_call_watch watch([](file_call call, int) { return call == file_call::flock ? ENOLCK : 0; });
    f.open();
    REQUIRE(run(f.volume->empty_trash(1, soon())).has_value());
    CHECK(fs::exists(young));
    CHECK_FALSE(fs::exists(old));
}

TEST_CASE("an fsync that fails for another reason fails the call", "[volumes][features]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    for (const bool of_directory : {true, false}) {
        const file_call_watch watch([&](file_call call, int fd) {
            return call == file_call::fsync && is_directory(fd) == of_directory ? EIO : 0;
        });
        CHECK(is_error(put(*f.volume, random_name(), block.content), errc::io_error));
        CHECK(is_error(run(f.volume->touch(block.name, soon())), errc::io_error));
    }
    const file_call_watch watch(
        [&](file_call call, int fd) { return call == file_call::fsync && !is_directory(fd) ? EINVAL : 0; });
    CHECK(is_error(put(*f.volume, random_name(), block.content), errc::io_error));
}

TEST_CASE("a block that the Go daemon writes while the old copy is being trashed is put back", "[volumes][trash]") {
    const bool noreplace = GENERATE(true, false);
    const auto lifetime = GENERATE(std::chrono::hours(1), std::chrono::hours(0));
    CAPTURE(noreplace, lifetime.count());
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    f.set_mtime(block.name, now() - std::chrono::hours(2));
    const auto fresh = f.path_of(block.name).string() + ".new";
    directory_fixture::write_file(fresh, "fresh");
    const file_call moves_away = noreplace ? file_call::renameat2 : file_call::renameat;
    bool written = false;
    bool back_is_durable = false;
    const file_call_watch watch([&](file_call call, int fd) {
        if (!noreplace && call == file_call::renameat2) return EINVAL;
        // The Go daemon takes no lock for a write.
        if (call == moves_away && !std::exchange(written, true)) fs::rename(fresh, f.path_of(block.name));
        if (call == file_call::fsync && is_directory(fd) && fs::exists(f.path_of(block.name))) back_is_durable = true;
        return 0;
    });
    CHECK(run(f.volume->trash(block.name, older_than_an_hour(lifetime), soon())).value() == trash_outcome::too_new);
    CHECK(written);
    CHECK(back_is_durable);
    CHECK(get(*f.volume, block.name).value().size() == 5);
    CHECK(f.count_files(block.name.hex()) == 1);
}

TEST_CASE("a block that is touched without a lock while it is being trashed is put back", "[volumes][trash]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    f.set_mtime(block.name, now() - std::chrono::hours(2));
    bool touched = false;
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::renameat2 && !std::exchange(touched, true)) f.set_mtime(block.name, now());
        return 0;
    });
    CHECK(run(f.volume->trash(block.name, older_than_an_hour(), soon())).value() == trash_outcome::too_new);
    CHECK(get(*f.volume, block.name).value() == block.content);
}

TEST_CASE("a step of an index ends in time, however many folders are empty or however large one is",
          "[volumes][index]") {
    directory_fixture f({.free_bytes_min = 0});
    std::set<md5_digest> expected;
    constexpr int folders = 200;
    for (int i = 0; i < folders; ++i) fs::create_directory(f.dir.path() / fmt::format("{:03x}", i));
    for (int i = 0; i < 6000; ++i) {
        const auto name = random_name("0c8");
        expected.insert(name);
        directory_fixture::write_file(f.path_of(name));
    }
    const auto core = std::make_shared<volumes::directory::directory_core>(f.options);
    REQUIRE(core->root.open().has_value());
    volumes::directory::index_scan scan(core, "");
    int reads = 0;
    // A disk on which each read of a directory takes 10 ms: 4 s for all of them. The sweep of temp files of the
    // fixture's volume reads the folders, too, on another thread.
    const file_call_watch watch([&, mine = std::this_thread::get_id()](file_call call, int) {
        if (call != file_call::getdents || std::this_thread::get_id() != mine) return 0;
        ++reads;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return 0;
    });
    std::set<md5_digest> found;
    int most = 0;
    while (!scan.nothing_left()) {
        const int before = reads;
        auto batch = scan.step();
        REQUIRE(batch.has_value());
        most = std::max(most, reads - before);
        for (const auto& block : *batch) found.insert(block.name);
    }
    CHECK(found == expected);
    CHECK(most <= 22);  // 200 ms, the end of root, and the folder that was begun. Without an end it would be 400.
}

}  // namespace keepstore::test
