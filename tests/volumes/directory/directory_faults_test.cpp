// File systems that lack a feature, programs that interfere in the middle of a call, and disks that are slow: what a
// test of the real file system meets by luck only.
#include "digest/md5.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/file_calls.hpp"
#include "volumes/directory/block_calls.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/fsync_group_commit.hpp"
#include "volumes/directory/index_scan.hpp"

#include <catch2/catch.hpp>

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

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

/// Holds threads until it is opened.
class gate {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    /// Waits until a thread stands at the gate.
    [[nodiscard]] bool reached() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(40), [&] { return waiting_ > 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
    unsigned waiting_ = 0;
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

TEST_CASE("without flock a temp file of a running daemon is not taken for a left-over one", "[volumes][features]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto stem = (f.dir.path() / "abc" / ("tmp" + random_name("abc").hex())).string();
    const auto young = stem + "12345678901234567890";
    const auto old = stem + "12345678901234567891";
    directory_fixture::write_file(young);
    directory_fixture::write_file(old);
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(25));
    const file_call_watch watch([](file_call call, int) { return call == file_call::flock ? ENOLCK : 0; });
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

TEST_CASE("a touch syncs the file and its folder", "[volumes][sync]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    directory_fixture::write_file(f.path_of(block.name));  // By another program, which has not synced it.
    std::atomic<int> files = 0;
    std::atomic<int> folders = 0;
    const file_call_watch watch([&](file_call call, int fd) {
        if (call == file_call::fsync) ++(is_directory(fd) ? folders : files);
        return 0;
    });
    REQUIRE(run(f.volume->touch(block.name, soon())).has_value());
    CHECK(files == 1);
    CHECK(folders >= 1);
}

TEST_CASE("no sync holds the lock of a block", "[volumes][sync]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    std::atomic<int> free = 0;
    std::atomic<int> held = 0;
    const file_call_watch watch([&](file_call call, int fd) {
        if (call != file_call::fsync || is_directory(fd)) return 0;
        const unique_fd mine(::open(f.path_of(block.name).c_str(), O_RDWR | O_CLOEXEC));
        ++(::flock(mine.get(), LOCK_EX | LOCK_NB) == 0 ? free : held);
        return 0;
    });
    REQUIRE(run(f.volume->touch(block.name, soon())).has_value());
    CHECK(free == 1);
    // A copy with a later time is replaced: the new one is synced once more.
    f.set_mtime(block.name, now() + std::chrono::hours(1));
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    CHECK(free == 3);
    CHECK(held == 0);
    CHECK(run(f.volume->mtime(block.name, soon())).value() > now() + std::chrono::minutes(59));
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
    const file_call_watch watch([&](file_call call, int) {
        if (!noreplace && call == file_call::renameat2) return EINVAL;
        // The Go daemon takes no lock for a write.
        if (call == moves_away && !std::exchange(written, true)) fs::rename(fresh, f.path_of(block.name));
        return 0;
    });
    CHECK(run(f.volume->trash(block.name, older_than_an_hour(lifetime), soon())).value() == trash_outcome::too_new);
    CHECK(written);
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

TEST_CASE("a touch of a block that is trashed without a lock says that it is gone", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::futimens) fs::rename(f.path_of(block.name), f.path_of(block.name).string() + ".trash.1");
        return 0;
    });
    CHECK(is_error(run(f.volume->touch(block.name, soon())), errc::not_found));
}

TEST_CASE("touches of one block share a sync that begins after they came, and take one thread", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0, .threads_max = 2});
    const named_block hot;
    const named_block other;
    REQUIRE(put(*f.volume, hot.name, hot.content).has_value());
    REQUIRE(put(*f.volume, other.name, other.content).has_value());
    struct stat status{};
    REQUIRE(::stat(f.path_of(hot.name).c_str(), &status) == 0);
    gate running;
    std::atomic<int> touches = 0;
    const file_call_watch watch([&](file_call call, int fd) {
        struct stat mine{};
        if (::fstat(fd, &mine) != 0 || mine.st_ino != status.st_ino) return 0;
        if (call == file_call::futimens) ++touches;
        if (call == file_call::fsync && touches == 1) running.pass();
        return 0;
    });
    asio::io_context& context = new_context();
    constexpr int later = 50;
    int done = 0;
    int failed = 0;
    const auto count = [&](std::exception_ptr, const result<void>& r) { ++(r ? done : failed); };
    asio::co_spawn(context, f.volume->touch(hot.name, soon()), count);
    context.poll();
    REQUIRE(running.reached());
    // The sync of the first one may have begun before these, so it must not be theirs.
    for (int i = 0; i < later; ++i) asio::co_spawn(context, f.volume->touch(hot.name, soon()), count);
    context.restart();
    context.poll();
    // The volume's second thread is free.
    CHECK(run(f.volume->touch(other.name, soon())).has_value());
    CHECK(done == 0);
    running.open();
    CHECK(turn_until(context, [&] { return done + failed == 1 + later; }));
    CHECK(failed == 0);
    CHECK(touches == 2);
}

TEST_CASE("a touch that was given up does not run, and the next call of the block does", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    gate running;
    std::atomic<int> touches = 0;
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::futimens && ++touches == 1) running.pass();
        return 0;
    });
    asio::io_context& context = new_context();
    std::optional<result<void>> first;
    asio::co_spawn(context, f.volume->touch(block.name, soon()),
                   [&](std::exception_ptr, result<void> r) { first = std::move(r); });
    context.poll();
    REQUIRE(running.reached());
    CHECK(is_error(run(f.volume->touch(block.name, deadline::in(std::chrono::milliseconds(20)))), errc::timeout));
    CHECK(is_error(run(f.volume->trash(block.name, trash_at_once(), deadline::in(std::chrono::milliseconds(20)))),
                   errc::timeout));
    running.open();
    CHECK(turn_until(context, [&] { return first.has_value(); }));
    CHECK(first->has_value());
    CHECK(touches == 1);
    CHECK(get(*f.volume, block.name).value() == block.content);
    CHECK(run(f.volume->trash(block.name, trash_at_once(), soon())).value() == trash_outcome::trashed);
}

TEST_CASE("calls of a block whose touch hangs end soon when their callers have an alternative", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0});
    const named_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    gate hung;
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::futimens) hung.pass();
        return 0;
    });
    asio::io_context& context = new_context();
    std::vector<error> ended;
    std::optional<result<void>> patient;
    const auto end = [&](std::exception_ptr, const auto& r) {
        if (!r) ended.push_back(r.error());
    };
    const auto elsewhere = [] { return soon().ending_at_stall(); };
    asio::co_spawn(context, f.volume->touch(block.name, elsewhere()), end);
    context.poll();
    REQUIRE(hung.reached());
    asio::co_spawn(context, f.volume->touch(block.name, elsewhere()), end);
    asio::co_spawn(context, f.volume->untrash(block.name, elsewhere()), end);
    asio::co_spawn(context, f.volume->touch(block.name, soon()),
                   [&](std::exception_ptr, result<void> r) { patient = std::move(r); });
    const auto began = std::chrono::steady_clock::now();
    CHECK(turn_until(context, [&] { return ended.size() == 3; }));
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
    for (const auto& why : ended) CHECK(why == errc::unavailable);
    // While it hangs new ones do not wait at all.
    CHECK(is_error(run(f.volume->touch(block.name, elsewhere())), errc::unavailable));
    CHECK_FALSE(patient);
    hung.open();
    CHECK(turn_until(context, [&] { return patient.has_value(); }));
    CHECK(patient->has_value());
}

TEST_CASE("after the longest silence all calls of a block end", "[volumes][touch]") {
    constexpr std::chrono::milliseconds silence_max{1500};
    const auto pool =
        std::make_shared<blocking_pool>(blocking_pool::options{.threads_max = 2, .silence_max = silence_max});
    const auto calls = std::make_shared<volumes::directory::block_calls>(pool, silence_max);
    const auto hung = std::make_shared<gate>();
    const auto name = random_name();
    const auto hang = [hung](deadline) {
        hung->pass();
        return success();
    };
    asio::io_context& context = new_context();
    std::vector<error> ended;
    const auto end = [&](std::exception_ptr, const result<void>& r) {
        if (!r) ended.push_back(r.error());
    };
    for (int i = 0; i < 2; ++i) asio::co_spawn(context, calls->run(name, hang, soon()), end);
    for (int i = 0; i < 2; ++i) asio::co_spawn(context, calls->run_touch(name, hang, soon()), end);
    const auto began = std::chrono::steady_clock::now();
    CHECK(turn_until(context, [&] { return ended.size() == 4; }));
    CHECK(std::chrono::steady_clock::now() - began >= limits::stall_after);  // Counted in checks, so not exact.
    for (const auto& why : ended) CHECK(why == errc::unavailable);
    hung->open();
}

TEST_CASE("a call that waits for a directory sync is not served by the one that runs", "[volumes][sync]") {
    const temp_dir dir;
    const unique_fd fd(::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    volumes::directory::fsync_group_commit syncs;
    gate running;
    std::atomic<int> calls = 0;
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::fsync && ++calls == 1) running.pass();
        return 0;
    });
    std::thread first([&] { static_cast<void>(syncs.sync(1, fd.get())); });
    REQUIRE(running.reached());
    std::atomic<int> ended = 0;
    std::vector<std::thread> later;
    for (int i = 0; i < 3; ++i) {
        later.emplace_back([&] {
            static_cast<void>(syncs.sync(1, fd.get()));
            ++ended;
        });
    }
    CHECK(eventually([&] { return syncs.waiting(1) == 4; }));
    running.open();
    first.join();
    for (auto& t : later) t.join();
    CHECK(ended == 3);
    CHECK(syncs.calls() == 2);
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
    std::atomic<int> reads = 0;
    // A disk on which each read of a directory takes 10 ms: 2 s for all of them.
    const file_call_watch watch([&](file_call call, int) {
        if (call != file_call::getdents) return 0;
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
    CHECK(most <= 25);  // 200 ms, and the folder that was begun.
}

}  // namespace keepstore::test
