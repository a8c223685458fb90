// When the circuit breaker of an S3 volume opens and closes, by the outcomes of probes and calls.
#include "volumes/cloud/circuit_breaker.hpp"
#include "s3/error.hpp"
#include "tests/contract/volume_harness.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>

namespace keepstore::test {
namespace {

using s3::error_kind;
using std::chrono::milliseconds;
using std::chrono::seconds;
using volumes::cloud::circuit_breaker;

/// What a probe finds: nullopt for a good bucket.
using finding = std::optional<error_kind>;

/// A circuit breaker with both monitors, and a service that responds to their probes as the test says, at once.
class monitored {
  public:
    monitored(std::function<finding(int)> quick, std::function<finding(int)> long_probe)
        : quick_(std::move(quick)), long_(std::move(long_probe)) {
        start(circuit_breaker::monitor(state, prober(), [this] { ++outages; }));
        start(circuit_breaker::monitor_slowly(state, prober(), [this] { ++outages; }));
    }
    ~monitored() {
        // A cancellation that comes just when an operation has completed finds nothing to cancel.
        CHECK(until([this] {
            for (auto& s : signals_) s->emit(asio::cancellation_type::total);
            return running_ == 0;
        }));
    }
    monitored(const monitored&) = delete;
    monitored& operator=(const monitored&) = delete;

    bool until(const std::function<bool()>& holds) {
        const auto end = std::chrono::steady_clock::now() + seconds(30);
        while (!holds()) {
            if (std::chrono::steady_clock::now() > end) return false;
            context_.restart();
            context_.run_for(milliseconds(2));
        }
        return true;
    }
    [[nodiscard]] bool allows() const { return state->allow().has_value(); }

    const std::shared_ptr<circuit_breaker> state =
        std::make_shared<circuit_breaker>(volumes::cloud::place{.service = "S3", .kind = "bucket", .name = "bucket"});
    int outages = 0;  ///< How often the calls under way were ended.
    int quick_probes = 0;
    int long_probes = 0;

  private:
    static awaitable<result<void>> cancellable(awaitable<result<void>> work) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await std::move(work);
    }
    void start(awaitable<result<void>> work) {
        ++running_;
        signals_.push_back(std::make_unique<asio::cancellation_signal>());
        test::start_work(context_, cancellable(std::move(work)), signals_.back()->slot(),
                         [this](const result<void>&) { --running_; });
    }
    circuit_breaker::probe_type prober() {
        return [this](deadline limit) { return probe(*this, limit); };
    }
    static awaitable<result<std::string>> probe(monitored& self, deadline limit) {
        const bool quick = limit.at() - deadline::clock::now() < seconds(5);
        const auto found = quick ? self.quick_(self.quick_probes++) : self.long_(self.long_probes++);
        asio::steady_timer timer(co_await asio::this_coro::executor, milliseconds(1));
        const auto [stopped] = co_await timer.async_wait(use_tuple);
        if (stopped) co_return fail(errc::cancelled);
        if (found) co_return std::unexpected(s3::make_error(*found, "probe"));
        co_return std::string();
    }

    const std::function<finding(int)> quick_;
    const std::function<finding(int)> long_;
    asio::io_context context_{1};
    std::vector<std::unique_ptr<asio::cancellation_signal>> signals_;
    int running_ = 0;
};

finding good(int) {
    return std::nullopt;
}
finding times_out(int) {
    return error_kind::timeout;
}

}  // namespace

TEST_CASE("a service that is too slow for quick probes comes up", "[volumes][s3][outage]") {
    monitored w(times_out, [](int n) { return n < 2 ? finding(error_kind::timeout) : std::nullopt; });
    REQUIRE(w.until([&] { return !w.allows(); }));  // Two quick probes have timed out.
    CHECK(w.state->health().find("did not respond in time") != std::string::npos);
    REQUIRE(w.until([&] { return w.allows(); }));
    CHECK(w.long_probes == 3);
    CHECK(w.state->health().empty());
    // It stays up: no call is pending, so no probe is sent.
    const auto before = w.quick_probes;
    const auto end = std::chrono::steady_clock::now() + seconds(1);
    REQUIRE(w.until([&] { return !w.allows() || std::chrono::steady_clock::now() > end; }));
    CHECK(w.allows());
    CHECK(w.quick_probes == before);
}

TEST_CASE("one probe that times out is no outage, two in a row are", "[volumes][s3][outage]") {
    monitored once([](int n) { return n == 0 ? finding(error_kind::timeout) : std::nullopt; }, good);
    REQUIRE(once.until([&] { return once.quick_probes == 2; }));
    CHECK(once.allows());
    CHECK(once.outages == 0);
    CHECK(once.state->health().empty());

    monitored twice(times_out, times_out);
    REQUIRE(twice.until([&] { return twice.outages == 1; }));
    CHECK(twice.quick_probes == 2);
    CHECK_FALSE(twice.allows());
    REQUIRE(twice.until([&] { return twice.quick_probes == 4; }));
    CHECK(twice.outages == 1);  // Calls were cancelled when it opened.
}

TEST_CASE("a service that refuses connections is down at once", "[volumes][s3][outage]") {
    for (const auto kind :
         {error_kind::network, error_kind::server, error_kind::malformed_response, error_kind::bad_certificate}) {
        monitored w([=](int) { return kind; }, [=](int) { return kind; });
        REQUIRE(w.until([&] { return w.outages == 1; }));
        CHECK(w.quick_probes == 1);
        CHECK_FALSE(w.allows());
    }
}

TEST_CASE("pending calls without progress are cancelled when two probes time out, and not while another makes progress",
          "[volumes][s3][outage]") {
    std::function<void()> concurrently = [] {};
    monitored w(
        [&](int n) {
            concurrently();
            return n == 0 ? finding() : error_kind::timeout;
        },
        times_out);
    REQUIRE(w.until([&] { return w.quick_probes == 1; }));
    const circuit_breaker::pending_call call(*w.state);
    SECTION("silence") {
        REQUIRE(w.until([&] { return w.outages == 1; }));
        CHECK(w.quick_probes == 3);
        CHECK_FALSE(w.allows());
    }
    SECTION("another call makes progress while the probe waits") {
        concurrently = [&] { w.state->note_progress(); };
        REQUIRE(w.until([&] { return w.quick_probes == 3; }));
        CHECK(w.outages == 0);
        CHECK(w.allows());
    }
}

TEST_CASE("calls that fail are an outage only if a probe fails as well", "[volumes][s3][outage]") {
    bool up = true;
    monitored w([&](int) { return up ? finding() : error_kind::server; }, good);
    REQUIRE(w.until([&] { return w.quick_probes == 1; }));
    const auto fail_calls = [&] {
        for (unsigned i = 0; i < limits::cloud_outage_failures; ++i) {
            w.state->note(result<void>(std::unexpected(s3::make_error(error_kind::server, "call"))));
        }
    };
    fail_calls();
    REQUIRE(w.until([&] { return w.quick_probes == 2; }));
    // The failures are forgotten: it is not asked again.
    const auto end = std::chrono::steady_clock::now() + seconds(1);
    REQUIRE(w.until([&] { return std::chrono::steady_clock::now() > end; }));
    CHECK(w.quick_probes == 2);
    CHECK(w.allows());
    CHECK(w.outages == 0);
    up = false;
    fail_calls();
    REQUIRE(w.until([&] { return w.outages == 1; }));
    CHECK_FALSE(w.allows());
}

TEST_CASE("a service that throttles a probe is up", "[volumes][s3][outage]") {
    monitored w([](int n) { return n < 3 ? error_kind::network : error_kind::slow_down; }, times_out);
    REQUIRE(w.until([&] { return !w.allows(); }));
    REQUIRE(w.until([&] { return w.allows(); }));
    CHECK(w.state->health().empty());
    // It may go down anew.
    CHECK(w.outages == 1);
}

TEST_CASE("while the bucket is refused calls pass, and the end is noticed however slow the service is",
          "[volumes][s3][outage]") {
    monitored w([](int n) { return n == 0 ? error_kind::access_denied : error_kind::timeout; },
                [](int n) { return n == 0 ? finding(error_kind::access_denied) : std::nullopt; });
    REQUIRE(w.until([&] { return !w.state->health().empty(); }));
    CHECK(w.allows());
    REQUIRE(w.until([&] { return w.state->health().empty(); }));
    CHECK(w.quick_probes == 1);
    CHECK(w.long_probes == 2);
    CHECK(w.outages == 0);
}

}  // namespace keepstore::test
