#include "keepctl/snapshot/retention.hpp"

#include <catch2/catch.hpp>

using namespace keepstore::keepctl;
using namespace std::chrono;

namespace {

std::vector<listed_snapshot> listed_at(const std::vector<sys_seconds>& newest_first) {
    std::vector<listed_snapshot> out;
    for (std::size_t i = 0; i < newest_first.size(); ++i)
        out.push_back({.id = snapshot_id::make(newest_first[i], "0123456789abcdef"),
                       .sequence = newest_first.size() - i,
                       .listed_at = newest_first[i],
                       .metadata_sha256 = {}});
    return out;
}

/// One letter each: which rules keep it; '-' for none.
std::vector<std::string> kept(const std::vector<sys_seconds>& times, const retention_rules& rules, sys_seconds now) {
    std::vector<std::string> out;
    for (const auto& why : apply_retention(listed_at(times), rules, now)) {
        std::string letters;
        for (const auto& rule : why) letters += rule == "newest" ? 'N' : rule.front();
        out.push_back(letters.empty() ? "-" : letters);
    }
    return out;
}

const sys_seconds monday = sys_days(2026y / 11 / 30);

using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("a prune keeps what any rule keeps, and always the newest", "[keepctl][snapshot][retention]") {
    const auto now = monday + 12h;
    CHECK(kept({}, {.last = 1}, now).empty());
    CHECK(kept({now - 1h, now - 2h, now - 3h}, {.last = 2}, now) == strings{"l", "l", "-"});
    CHECK(kept({now - 1h, now - 2h, now - 3h}, {.within = 2h}, now) == strings{"w", "w", "-"});
    // Nothing is within the last minute: the newest stays.
    CHECK(kept({now - 1h, now - 2h}, {.within = 1min}, now) == strings{"N", "-"});
}

TEST_CASE("of days, weeks and months the newest snapshot is kept", "[keepctl][snapshot][retention]") {
    const auto now = monday + 12h;
    const std::vector<sys_seconds> times{now,          monday + 1h,      monday - 1s,           monday - 10h,
                                         monday - 25h, monday - days(7), monday - days(7) - 1s, monday - days(31)};
    CHECK(kept(times, {.daily = 2}, now) == strings{"d", "-", "d", "-", "-", "-", "-", "-"});
    // Weeks begin on Monday: the one before has its newest a second before this Monday.
    CHECK(kept(times, {.weekly = 3}, now) == strings{"w", "-", "w", "-", "-", "-", "w", "-"});
    // 30 November and 30 October.
    CHECK(kept(times, {.monthly = 12}, now) == strings{"m", "-", "-", "-", "-", "-", "-", "m"});
    // Days without a snapshot do not count.
    CHECK(kept({now, now - days(9), now - days(20)}, {.daily = 2}, now) == strings{"d", "d", "-"});
}

TEST_CASE("a clock that was set back does not keep a day twice", "[keepctl][snapshot][retention]") {
    const auto now = monday + 12h;
    CHECK(kept({now, now + days(1), now, now - days(1)}, {.daily = 2}, now) == strings{"d", "-", "-", "d"});
}
