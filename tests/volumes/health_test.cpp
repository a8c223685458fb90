#include "volumes/health.hpp"

#include "volumes/limits.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>
#include <thread>

using namespace keepstore;
using namespace keepstore::volumes;
using namespace std::chrono_literals;

namespace {

const health_tracker::activity quiet{};
const health_tracker::activity stalled{.silence = 3s, .slow = true, .stalled = true};
const health_tracker::activity slow{.slow = true};
const result<void> works{};

error broken() {
    return {errc::io_error, "read: Input/output error"};
}

}  // namespace

TEST_CASE("the state follows the pool's activity", "[volumes][health]") {
    const health_tracker t;
    CHECK(t.state(traffic::reads, quiet) == volume_state::healthy);
    CHECK(t.state(traffic::reads, slow) == volume_state::slow);
    CHECK(t.state(traffic::reads, stalled) == volume_state::stalled);
    CHECK(t.text(quiet, slow).empty());
    CHECK(t.text(quiet, stalled) == "writes do not respond: no call has moved for 3.0 s");
    CHECK_FALSE(t.probe_due(traffic::reads, quiet));
    CHECK(t.probe_due(traffic::reads, slow));
}

TEST_CASE("calls that fail make a probe due, whose failure counts", "[volumes][health]") {
    health_tracker t;
    for (unsigned i = 0; i < limits::volume_failures_max; ++i) {
        CHECK_FALSE(t.probe_due(traffic::reads, quiet));
        t.call_failed(traffic::reads, broken());
    }
    CHECK(t.probe_due(traffic::reads, quiet));
    CHECK(t.state(traffic::reads, quiet) == volume_state::healthy);

    SECTION("the probe fails") {
        t.probe_ended(traffic::reads, std::unexpected(broken()));
        CHECK(t.state(traffic::reads, quiet) == volume_state::failing);
        CHECK(t.state(traffic::writes, quiet) == volume_state::healthy);
        CHECK(t.text(quiet, quiet) == "reads fail: read: Input/output error");
        SECTION("until one works") {
            t.probe_ended(traffic::reads, works);
        }
        SECTION("until a call transfers data") {
            t.call_worked(traffic::reads);
        }
        CHECK(t.state(traffic::reads, quiet) == volume_state::healthy);
    }
    SECTION("the probe works: some blocks are broken, and not the volume") {
        t.probe_ended(traffic::reads, works);
        CHECK(t.state(traffic::reads, quiet) == volume_state::healthy);
        CHECK_FALSE(t.probe_due(traffic::reads, quiet));
    }
    SECTION("a call works before the probe") {
        t.call_worked(traffic::reads);
        CHECK_FALSE(t.probe_due(traffic::reads, quiet));
    }
}

TEST_CASE("answers are no failures", "[volumes][health]") {
    health_tracker t;
    for (const auto code : {errc::not_found, errc::no_space, errc::timeout, errc::cancelled, errc::unavailable}) {
        for (int i = 0; i < 10; ++i) t.call_failed(traffic::writes, code);
    }
    CHECK_FALSE(t.probe_due(traffic::writes, quiet));
    // Nor does a probe prove anything that had no descriptor, or no time.
    for (const auto code : {errc::timeout, errc::unavailable}) {
        for (int i = 0; i < 10; ++i) t.probe_ended(traffic::writes, fail(code));
    }
    CHECK(t.state(traffic::writes, quiet) == volume_state::healthy);
}

TEST_CASE("a time-out of a network file system is a failure", "[volumes][health]") {
    health_tracker t;
    const error silence = error_from_errno(ETIMEDOUT, "read");
    for (unsigned i = 0; i < limits::volume_failures_max; ++i) t.call_failed(traffic::reads, silence);
    CHECK(t.probe_due(traffic::reads, quiet));
    t.probe_ended(traffic::reads, std::unexpected(silence));
    CHECK(t.state(traffic::reads, quiet) == volume_state::failing);
}

TEST_CASE("a volume is gone until a probe of reads finds its root", "[volumes][health]") {
    health_tracker t;
    t.probe_ended(traffic::reads, fail(errc::not_found, "the root directory is not there"));
    CHECK(t.gone());
    CHECK(t.state(traffic::writes, stalled) == volume_state::gone);
    CHECK(t.text(quiet, quiet) == "the root directory is not there");
    t.probe_ended(traffic::writes, works);
    CHECK(t.gone());
    t.probe_ended(traffic::reads, works);
    CHECK(t.state(traffic::reads, quiet) == volume_state::healthy);
}

TEST_CASE("a probe that hangs is a stall, of reads also one of writes", "[volumes][health]") {
    const auto hangs = [](health_tracker& t, traffic which) {
        t.probe_began(which);
        const auto until = deadline::in(10 * limits::volume_probe_hang);
        while (t.state(which, quiet) != volume_state::stalled && !until.passed()) std::this_thread::yield();
        return t.state(which, quiet) == volume_state::stalled;
    };
    health_tracker reads;
    CHECK(hangs(reads, traffic::reads));
    CHECK(reads.state(traffic::writes, quiet) == volume_state::stalled);
    CHECK(reads.text(quiet, quiet) == "reads do not respond to a probe; writes do not respond to a probe");
    reads.probe_ended(traffic::reads, works);
    CHECK(reads.state(traffic::reads, quiet) == volume_state::healthy);
    health_tracker writes;
    CHECK(hangs(writes, traffic::writes));
    CHECK(writes.state(traffic::reads, quiet) == volume_state::healthy);
}

TEST_CASE("a probe thread calls at intervals, and a probe that hangs is abandoned", "[volumes][health]") {
    struct counts {
        std::atomic<int> begun{0};
        std::atomic<bool> hang{false};
        std::atomic<bool> hangs{false};
    };
    const auto c = std::make_shared<counts>();
    {
        const probe_thread probes("probe", 1ms, [c] {
            ++c->begun;
            while (c->hang) {
                c->hangs = true;
                std::this_thread::sleep_for(1ms);
            }
        });
        while (c->begun < 3) std::this_thread::yield();
        c->hang = true;
        while (!c->hangs) std::this_thread::yield();
    }
    CHECK(c->begun >= 3);
    c->hang = false;
}
