#include "keepctl/snapshot/retention.hpp"

namespace keepstore::keepctl {
namespace {

using std::chrono::sys_days;

std::int64_t day_of(std::chrono::sys_seconds at) {
    return std::chrono::floor<std::chrono::days>(at).time_since_epoch().count();
}
// 1970-01-01 was a Thursday; the first Monday is day -3.
std::int64_t week_of(std::chrono::sys_seconds at) {
    return std::chrono::floor<std::chrono::weeks>(std::chrono::floor<std::chrono::days>(at) + std::chrono::days(3))
        .time_since_epoch()
        .count();
}
std::int64_t month_of(std::chrono::sys_seconds at) {
    const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(at));
    return static_cast<int>(date.year()) * 12 + static_cast<std::int64_t>(static_cast<unsigned>(date.month()));
}

/// Keeps the newest of each of the newest `count` periods.
struct period_rule {
    const char* name;
    std::int64_t (*period)(std::chrono::sys_seconds);
    std::uint64_t count;
    std::optional<std::int64_t> seen = {};

    bool keeps(std::chrono::sys_seconds at) {
        const auto now = period(at);
        // Times of a clock that was set back do not open a period twice.
        if (count == 0 || (seen && now >= *seen)) return false;
        seen = now;
        --count;
        return true;
    }
};

}  // namespace

std::vector<std::vector<std::string>> apply_retention(std::span<const listed_snapshot> newest_first,
                                                      const retention_rules& rules, std::chrono::sys_seconds now) {
    std::vector<std::vector<std::string>> out(newest_first.size());
    period_rule periods[] = {
        {"daily", day_of, rules.daily}, {"weekly", week_of, rules.weekly}, {"monthly", month_of, rules.monthly}};
    for (std::size_t i = 0; i < newest_first.size(); ++i) {
        const auto at = newest_first[i].listed_at;
        auto& why = out[i];
        if (i < rules.last) why.emplace_back("last");
        if (rules.within && now - at <= *rules.within) why.emplace_back("within");
        for (auto& rule : periods) {
            if (rule.keeps(at)) why.emplace_back(rule.name);
        }
        if (i == 0 && why.empty()) why.emplace_back("newest");
    }
    return out;
}

}  // namespace keepstore::keepctl
