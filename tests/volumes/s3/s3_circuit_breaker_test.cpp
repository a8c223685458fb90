// When an S3 volume is taken for down, and when for up again, as probes and calls show it.
#include "s3/error.hpp"
#include "tests/contract/volume_harness.hpp"
#include "volumes/s3/circuit_breaker.hpp"

#include <catch2/catch.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
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
using volumes::s3::availability;

/// What a probe finds: nullopt for a good bucket.
using finding = std::optional<error_kind>;

/// An availability with both of its watches, and a service that answers their probes as the test says, at once.
class watched {
  public:
    watched(std::function<finding(int)> quick, std::function<finding(int)> patient)
        : quick_(std::move(quick)), patient_(std::move(patient)) {
        start(availability::watch(state, prober(), [this] { ++outages; }));
        start(availability::watch_patiently(state, prober(), [this] { ++outages; }));
    }
    ~watched() {
        // A cancellation that comes just when an operation has completed finds nothing to cancel.
        CHECK(until([this] {
            for (auto& s : signals_) s->emit(asio::cancellation_type::total);
            return running_ == 0;
        }));
    }
    watched(const watched&) = delete;
    watched& operator=(const watched&) = delete;

    bool until(const std::function<bool()>& holds) {
        const auto end = std::chrono::steady_clock::now() + seconds(30);
        while (!holds()) {
            if (std::chrono::steady_clock::now() > end) return false;
            context_.restart();
            context_.run_for(milliseconds(2));
        }
        return true;
    }
    [[nodiscard]] bool admits() const { return state->admit().has_value(); }

    const std::shared_ptr<availability> state = std::make_shared<availability>("bucket");
    int outages = 0;  ///< How often the calls under way were ended.
    int quick_probes = 0;
    int patient_probes = 0;

  private:
    static awaitable<result<void>> cancellable(awaitable<result<void>> work) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await std::move(work);
    }
    void start(awaitable<result<void>> work) {
        ++running_;
        signals_.push_back(std::make_unique<asio::cancellation_signal>());
        asio::co_spawn(context_, cancellable(std::move(work)),
                       asio::bind_cancellation_slot(signals_.back()->slot(),
                                                    [this](std::exception_ptr, const result<void>&) { --running_; }));
    }
    availability::probe_type prober() {
        return [this](deadline limit) { return probe(*this, limit); };
    }
    static awaitable<result<std::string>> probe(watched& self, deadline limit) {
        const bool quick = limit.at() - deadline::clock::now() < seconds(5);
        const auto found = quick ? self.quick_(self.quick_probes++) : self.patient_(self.patient_probes++);
        asio::steady_timer timer(co_await asio::this_coro::executor, milliseconds(1));
        const auto [stopped] = co_await timer.async_wait(use_tuple);
        if (stopped) co_return fail(errc::cancelled);
        if (found) co_return std::unexpected(s3::make_error(*found, "probe"));
        co_return std::string();
    }

    const std::function<finding(int)> quick_;
    const std::function<finding(int)> patient_;
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
    watched w(times_out, [](int n) { return n < 2 ? finding(error_kind::timeout) : std::nullopt; });
    REQUIRE(w.until([&] { return !w.admits(); }));  // Nobody knows better yet.
    CHECK(w.state->health().find("did not respond in time") != std::string::npos);
    REQUIRE(w.until([&] { return w.admits(); }));
    CHECK(w.patient_probes == 3);
    CHECK(w.state->health().empty());
    // It stays up: nothing waits, so nothing is asked.
    const auto before = w.quick_probes;
    const auto end = std::chrono::steady_clock::now() + seconds(1);
    REQUIRE(w.until([&] { return !w.admits() || std::chrono::steady_clock::now() > end; }));
    CHECK(w.admits());
    CHECK(w.quick_probes == before);
}

TEST_CASE("one probe that times out is no outage, two in a row are", "[volumes][s3][outage]") {
    watched once([](int n) { return n == 0 ? finding(error_kind::timeout) : std::nullopt; }, good);
    REQUIRE(once.until([&] { return once.quick_probes == 2; }));
    CHECK(once.admits());
    CHECK(once.outages == 0);
    CHECK(once.state->health().empty());

    watched twice(times_out, times_out);
    REQUIRE(twice.until([&] { return twice.outages == 1; }));
    CHECK(twice.quick_probes == 2);
    CHECK_FALSE(twice.admits());
    REQUIRE(twice.until([&] { return twice.quick_probes == 4; }));
    CHECK(twice.outages == 1);  // There is nothing to be ended any more.
}

TEST_CASE("a service that refuses connections is down at once", "[volumes][s3][outage]") {
    for (const auto kind :
         {error_kind::network, error_kind::server, error_kind::malformed_response, error_kind::bad_certificate}) {
        watched w([=](int) { return kind; }, [=](int) { return kind; });
        REQUIRE(w.until([&] { return w.outages == 1; }));
        CHECK(w.quick_probes == 1);
        CHECK_FALSE(w.admits());
    }
}

TEST_CASE("calls that wait in silence are ended when two probes time out, and not while others come forward",
          "[volumes][s3][outage]") {
    std::function<void()> beside = [] {};
    watched w(
        [&](int n) {
            beside();
            return n == 0 ? finding() : error_kind::timeout;
        },
        times_out);
    REQUIRE(w.until([&] { return w.quick_probes == 1; }));
    const availability::waiting call(*w.state);
    SECTION("silence") {
        REQUIRE(w.until([&] { return w.outages == 1; }));
        CHECK(w.quick_probes == 3);
        CHECK_FALSE(w.admits());
    }
    SECTION("another call comes forward while the probe waits") {
        beside = [&] { w.state->progress(); };
        REQUIRE(w.until([&] { return w.quick_probes == 3; }));
        CHECK(w.outages == 0);
        CHECK(w.admits());
    }
}

TEST_CASE("a service that asks a probe to slow down is there", "[volumes][s3][outage]") {
    watched w([](int n) { return n < 3 ? error_kind::network : error_kind::slow_down; }, times_out);
    REQUIRE(w.until([&] { return !w.admits(); }));
    REQUIRE(w.until([&] { return w.admits(); }));
    CHECK(w.state->health().empty());
    // It may go down anew.
    CHECK(w.outages == 1);
}

TEST_CASE("where the bucket is refused calls go on, and its end is noticed however slow the service is",
          "[volumes][s3][outage]") {
    watched w([](int n) { return n == 0 ? error_kind::access_denied : error_kind::timeout; },
              [](int n) { return n == 0 ? finding(error_kind::access_denied) : std::nullopt; });
    REQUIRE(w.until([&] { return !w.state->health().empty(); }));
    CHECK(w.admits());
    REQUIRE(w.until([&] { return w.state->health().empty(); }));
    CHECK(w.quick_probes == 1);
    CHECK(w.patient_probes == 2);
    CHECK(w.outages == 0);
}

}  // namespace keepstore::test
