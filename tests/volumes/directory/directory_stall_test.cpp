/// Directory volumes whose calls hang or fail one by one.

#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/file_calls.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/limits.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>

using namespace keepstore;
using namespace keepstore::test;
using volumes::volume_state;

namespace {

/// Calls that hang while it is closed.
class gate {
  public:
    void close() { closed_ = true; }
    void open() {
        closed_ = false;
        closed_.notify_all();
    }
    int pass() {
        closed_.wait(true);
        return 0;
    }

  private:
    std::atomic<bool> closed_{false};
};

}  // namespace

TEST_CASE("a block whose sync takes long is stored by a caller without an alternative", "[volumes][stall]") {
    gate hang;
    const file_call_watch watch([&](file_call which, int) { return which == file_call::fsync ? hang.pass() : 0; });
    {
        directory_fixture f({.free_bytes_min = 0});
        const auto name = random_name();
        hang.close();
        std::thread opens([&] {
            // Stalled for the others; the slow caller stays.
            CHECK(eventually([&] { return f.volume->state().writes == volume_state::stalled; }));
            hang.open();
        });
        CHECK(put(*f.volume, name, random_bytes(100)).has_value());
        opens.join();
        CHECK(get(*f.volume, name).has_value());
        CHECK(eventually([&] { return f.volume->state().writes == volume_state::healthy; }));
    }
}

TEST_CASE("a call that hangs for a reason of its own does not keep the volume stalled", "[volumes][stall]") {
    gate hang;
    std::atomic<bool> first{true};
    const file_call_watch watch(
        [&](file_call which, int) { return which == file_call::futimens && first.exchange(false) ? hang.pass() : 0; });
    {
        directory_fixture f({.free_bytes_min = 0});
        const auto name = random_name();
        first = false;
        REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
        first = true;
        hang.close();
        CHECK(is_error(run(f.volume->touch(name, soon().ending_at_stall())), errc::unavailable));
        CHECK(eventually([&] { return f.volume->state().writes == volume_state::slow; }));
        CHECK(put(*f.volume, random_name(), random_bytes(10)).has_value());
        hang.open();
        CHECK(eventually([&] { return f.volume->state().writes == volume_state::healthy; }));
    }
}

TEST_CASE("reads that fail make a volume one that fails, until they work", "[volumes][health]") {
    std::atomic<bool> broken{false};
    const file_call_watch watch([&](file_call which, int) { return which == file_call::pread && broken ? EIO : 0; });
    {
        directory_fixture f({.free_bytes_min = 0});
        const auto name = random_name();
        REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
        broken = true;
        for (unsigned i = 0; i < limits::volume_failures_max; ++i) {
            CHECK(is_error(get(*f.volume, name), errc::io_error));
        }
        CHECK(eventually([&] { return f.volume->state().reads == volume_state::failing; }));
        CHECK(f.volume->health().find("reads fail: read: ") == 0);
        broken = false;
        CHECK(eventually([&] { return f.volume->health().empty(); }));
    }
}

TEST_CASE("a volume that takes no data fails, although its blocks can be touched", "[volumes][health]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto stored = random_name();
    REQUIRE(put(*f.volume, stored, random_bytes(10)).has_value());
    const auto touches = [&] { return run(f.volume->touch(stored, soon())).has_value(); };
    const auto fails = [&] { return f.volume->state().writes == volume_state::failing; };
    {
        const file_call_watch broken(
            [](file_call call, int) { return call == file_call::pwrite || call == file_call::pwritev ? EIO : 0; });
        for (unsigned i = 0; i < limits::volume_failures_max; ++i) {
            CHECK(is_error(put(*f.volume, random_name(), random_bytes(10)), errc::io_error));
            CHECK(touches());
        }
        CHECK(eventually(fails));
        CHECK(touches());
        CHECK(fails());
    }
    CHECK(put(*f.volume, random_name(), random_bytes(10)).has_value());
    CHECK(eventually([&] { return !fails(); }));  // A probe that began before may end after it.
}

TEST_CASE("a caller with an alternative waits for slow writes that get on", "[volumes][stall]") {
    constexpr std::size_t pieces = 4;
    const auto content = random_bytes(pieces * MiB);
    const file_call_watch watch([&](file_call which, int) {
        // Of 1 MiB each: longer in all than a volume may be silent.
        if (which == file_call::pwritev)
            std::this_thread::sleep_for(std::chrono::milliseconds(limits::stall_after) / 2);
        return 0;
    });
    {
        directory_fixture f({.sync = false, .free_bytes_min = 0});
        const auto name = random_name();
        const auto until = soon().ending_at_stall();
        auto writer = run(f.volume->create(name, content.size(), until)).value();
        for (std::size_t i = 0; i < pieces; ++i) {
            const auto piece = copy_to_heap_slice(std::span(content).subspan(i * MiB, MiB));
            CHECK(run(writer->append(piece, until)).has_value());
        }
        CHECK(run(writer->commit(std::nullopt, until)).has_value());
        CHECK(get(*f.volume, name).value() == content);
    }
}

TEST_CASE("a block in the page cache goes to the disk while the rest of it is written", "[volumes][stall]") {
    std::atomic<int> started{0};
    std::atomic<int> waited{0};
    std::atomic<int> before_sync{0};
    const file_call_watch watch([&](file_call which, int fd) {
        if (which == file_call::start_writeback) ++started;
        if (which == file_call::wait_for_writeback) ++waited;
        if (which == file_call::fsync && !is_directory(fd)) before_sync = started.load();
        return 0;
    });
    directory_fixture f({.direct = volumes::direct_io::off, .free_bytes_min = 0});
    REQUIRE(put(*f.volume, random_name(), random_bytes(8 * limits::sync_behind_bytes)).has_value());
    // At most two ranges are under way, and little is left for the sync at the end.
    CHECK(started >= 4);
    CHECK(before_sync == started);
    CHECK(waited == started - 1);
    f.volume.reset();
}

TEST_CASE("a volume that may not be written is not probed by writes, also while it hangs", "[volumes][read-only]") {
    gate hang;
    std::atomic<int> syncs{0};
    const file_call_watch watch([&](file_call which, int) {
        if (which == file_call::fsync) ++syncs;
        return which == file_call::pread ? hang.pass() : 0;
    });
    {
        directory_fixture f({.free_bytes_min = 0});
        const auto name = random_name();
        REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
        f.options.may_write = false;
        f.open();
        syncs = 0;
        hang.close();
        std::thread reader([&] { CHECK(get(*f.volume, name).has_value()); });
        CHECK(eventually([&] { return f.volume->state().writes == volume_state::stalled; }));
        const auto some_probes = deadline::in(2 * limits::volume_probe_interval);
        CHECK(eventually([&] { return some_probes.passed(); }));
        CHECK(syncs == 0);
        hang.open();
        reader.join();
        CHECK(eventually([&] { return f.volume->health().empty(); }));
    }
}
