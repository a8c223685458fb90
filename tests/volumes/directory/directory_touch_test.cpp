/// Touches of a block that meet each other, syncs that take long, and other programs.
#include "digest/md5.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/file_calls.hpp"
#include "volumes/directory/block_calls.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/fsync_group_commit.hpp"
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

struct synced_block {
    bytes content = random_bytes(1000);
    md5_digest name = digest::md5_of(content);
};

}  // namespace

TEST_CASE("no sync holds the lock of a block", "[volumes][sync]") {
    directory_fixture f({.free_bytes_min = 0});
    const synced_block block;
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

TEST_CASE("a touch of a block that is trashed without a lock says that it is gone", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0});
    const synced_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::futimens) fs::rename(f.path_of(block.name), f.path_of(block.name).string() + ".trash.1");
        return 0;
    });
    CHECK(is_error(run(f.volume->touch(block.name, soon())), errc::not_found));
}

TEST_CASE("a block that another host replaces while it is touched or stored is opened again", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0});
    const synced_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    const auto stale = [&](file_call which, int times, auto call) {
        std::atomic<int> calls = 0;
        const file_call_watch watch(
            [&](file_call made, int fd) { return made == which && !is_directory(fd) && calls++ < times ? ESTALE : 0; });
        return call();
    };
    const auto touch = [&] { return run(f.volume->touch(block.name, soon())).has_value(); };
    CHECK(stale(file_call::flock, 4, touch));
    CHECK(stale(file_call::futimens, 4, touch));
    CHECK(stale(file_call::fsync, 1, touch));
    CHECK_FALSE(stale(file_call::futimens, 1000, touch));
    const auto trash = [&] {
        const volumes::trash_options later{.protect_for = std::chrono::hours(1), .lifetime = std::chrono::hours(1)};
        return run(f.volume->trash(block.name, later, soon())) == trash_outcome::too_new;
    };
    CHECK(stale(file_call::flock, 4, trash));
    CHECK_FALSE(stale(file_call::flock, 1000, trash));
    CHECK(touch());
}

TEST_CASE("touches of one block share a sync that begins after they came, and take one thread", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0, .threads_max = 2});
    const synced_block hot;
    const synced_block other;
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
    const auto count = [&](const result<void>& r) { ++(r ? done : failed); };
    test::start_work(context, f.volume->touch(hot.name, soon()), count);
    context.poll();
    REQUIRE(running.reached());
    // The sync of the first one may have begun before these, so it must not be theirs.
    for (int i = 0; i < later; ++i) test::start_work(context, f.volume->touch(hot.name, soon()), count);
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

TEST_CASE("calls of a block that were given up do not run, and the next one does", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0});
    const synced_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    gate running;
    std::atomic<int> touches = 0;
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::futimens && ++touches == 1) running.pass();
        return 0;
    });
    asio::io_context& context = new_context();
    std::optional<result<void>> first;
    test::start_work(context, f.volume->touch(block.name, soon()), [&](result<void> r) { first = std::move(r); });
    context.poll();
    REQUIRE(running.reached());
    CHECK(is_error(run(f.volume->touch(block.name, deadline::in(std::chrono::milliseconds(20)))), errc::timeout));
    CHECK(is_error(run(f.volume->trash(block.name, trash_at_once(), deadline::in(std::chrono::milliseconds(20)))),
                   errc::timeout));
    const auto when = [turns = 0]() mutable { return ++turns > 5; };
    CHECK(is_error(run_and_cancel(f.volume->trash(block.name, trash_at_once(), soon()), when), errc::cancelled));
    running.open();
    CHECK(turn_until(context, [&] { return first.has_value(); }));
    CHECK(first->has_value());
    CHECK(touches == 1);
    CHECK(get(*f.volume, block.name).value() == block.content);
    CHECK(run(f.volume->trash(block.name, trash_at_once(), soon())).value() == trash_outcome::trashed);
}

TEST_CASE("a call of a block that is cancelled while the volume is busy does not run", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0, .threads_max = 1});
    const synced_block busy;
    const synced_block kept;
    REQUIRE(put(*f.volume, busy.name, busy.content).has_value());
    REQUIRE(put(*f.volume, kept.name, kept.content).has_value());
    gate running;
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::futimens) running.pass();
        return 0;
    });
    asio::io_context& context = new_context();
    std::optional<result<void>> first;
    test::start_work(context, f.volume->touch(busy.name, soon()), [&](result<void> r) { first = std::move(r); });
    context.poll();
    REQUIRE(running.reached());
    const auto when = [turns = 0]() mutable { return ++turns > 5; };
    CHECK(is_error(run_and_cancel(f.volume->trash(kept.name, trash_at_once(), soon()), when), errc::cancelled));
    running.open();
    CHECK(turn_until(context, [&] { return first.has_value(); }));
    CHECK(get(*f.volume, kept.name).value() == kept.content);
}

TEST_CASE("calls of a block whose touch hangs end soon when their callers have an alternative", "[volumes][touch]") {
    directory_fixture f({.free_bytes_min = 0});
    const synced_block block;
    REQUIRE(put(*f.volume, block.name, block.content).has_value());
    gate hung;
    const file_call_watch watch([&](file_call call, int) {
        if (call == file_call::futimens) hung.pass();
        return 0;
    });
    asio::io_context& context = new_context();
    std::vector<error> ended;
    std::optional<result<void>> waiting;
    const auto end = [&](const auto& r) {
        if (!r) ended.push_back(r.error());
    };
    const auto elsewhere = [] { return soon().ending_at_stall(); };
    test::start_work(context, f.volume->touch(block.name, elsewhere()), end);
    context.poll();
    REQUIRE(hung.reached());
    test::start_work(context, f.volume->touch(block.name, elsewhere()), end);
    test::start_work(context, f.volume->untrash(block.name, elsewhere()), end);
    test::start_work(context, f.volume->touch(block.name, soon()), [&](result<void> r) { waiting = std::move(r); });
    const auto began = std::chrono::steady_clock::now();
    CHECK(turn_until(context, [&] { return ended.size() == 3; }));
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
    for (const auto& why : ended) CHECK(why == errc::unavailable);
    // While it hangs new ones do not wait at all.
    CHECK(is_error(run(f.volume->touch(block.name, elsewhere())), errc::unavailable));
    CHECK_FALSE(waiting);
    hung.open();
    CHECK(turn_until(context, [&] { return waiting.has_value(); }));
    CHECK(waiting->has_value());
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
    const auto end = [&](const result<void>& r) {
        if (!r) ended.push_back(r.error());
    };
    for (int i = 0; i < 2; ++i) test::start_work(context, calls->run(name, hang, soon()), end);
    for (int i = 0; i < 2; ++i) test::start_work(context, calls->run_touch(name, hang, soon()), end);
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

}  // namespace keepstore::test
