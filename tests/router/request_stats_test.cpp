#include "router/status_page/request_stats.hpp"

#include <catch2/catch.hpp>

#include <cmath>

using namespace keepstore;
using namespace std::chrono_literals;
using router::request_stats;

namespace {

using kind = request_stats::kind;

const std::chrono::steady_clock::time_point start{24h};

const request_stats::totals& of(const request_stats::by_kind& all, kind k) {
    return all[static_cast<std::size_t>(k)];
}

}  // namespace

TEST_CASE("requests are counted by kind, and by what became of them", "[router][status]") {
    request_stats stats;
    stats.count({.method = "GET", .status = 200, .at = start});
    stats.count({.method = "GET", .status = 404, .at = start});
    stats.count({.method = "GET", .status = 502, .at = start});
    stats.count({.method = "GET", .status = 200, .cut = true, .at = start});
    stats.count({.method = "GET", .status = 499, .cut = true, .at = start});
    stats.count({.method = "PUT", .status = 200, .at = start});
    stats.count({.method = "TOUCH", .status = 200, .at = start});
    const auto all = stats.snapshot(start);
    CHECK(of(all, kind::get).count == 5);
    CHECK(of(all, kind::get).refused == 2);
    CHECK(of(all, kind::get).failed == 2);
    CHECK(of(all, kind::put).count == 1);
    CHECK(of(all, kind::other).count == 1);
    CHECK(stats.counts() == std::array<std::uint64_t, 3>{5, 1, 1});
}

TEST_CASE("latencies are those of requests that ended within the last ten minutes", "[router][status]") {
    request_stats stats;
    stats.count({.method = "GET", .status = 200, .at = start, .to_status = 10ms, .to_end = 1s});
    const auto seconds = [&](std::chrono::steady_clock::time_point now) {
        const auto all = stats.snapshot(now);
        return std::pair(of(all, kind::get).to_status.values[0], of(all, kind::get).to_end.values[0]);
    };
    const auto [to_status, to_end] = seconds(start + 5min);
    CHECK(to_status == Approx(0.01).epsilon(0.05));
    CHECK(to_end == Approx(1).epsilon(0.05));
    CHECK(std::isnan(seconds(start + 10min).first));
    CHECK(std::isnan(seconds(start + 10min).second));
    // One that ended long ago and is counted now is not a recent one.
    stats.count({.method = "GET", .status = 200, .at = start + 1h, .to_status = 10ms, .to_end = 1s});
    stats.count({.method = "GET", .status = 200, .at = start + 2h, .to_status = 1s, .to_end = 2s});
    CHECK(seconds(start + 2h).first == Approx(1).epsilon(0.05));
    CHECK(of(stats.snapshot(start + 2h), kind::get).count == 3);
}
