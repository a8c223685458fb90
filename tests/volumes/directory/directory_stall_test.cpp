/// Directory volumes whose calls hang or fail one by one.

#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/file_calls.hpp"
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
