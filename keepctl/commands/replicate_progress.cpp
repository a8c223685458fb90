#include "keepctl/commands/replicate_progress.hpp"

#include "keepctl/commands/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

namespace keepstore::keepctl {
namespace {

// Shards that must be done before they are extrapolated: a fiftieth, and more than one.
constexpr std::size_t shards_done_min = 2;
constexpr std::size_t shards_done_part = 50;

double bytes_per_second(const replicate_progress& now) {
    return static_cast<double>(now.counts.bytes) / now.seconds;
}

std::optional<double> seconds_left(const replicate_progress& now) {
    if (now.all_planned) {
        const auto left = now.counts.planned_bytes - std::min(now.counts.planned_bytes, now.counts.bytes);
        if (left == 0) return 0;
        if (now.counts.bytes == 0) return std::nullopt;
        return static_cast<double>(left) / bytes_per_second(now);
    }
    return seconds_for_rest(now.shards_done, now.shards_before, now.shards_total, now.seconds);
}

}  // namespace

std::optional<double> seconds_for_rest(std::size_t done, std::size_t before, std::size_t total, double seconds) {
    const auto here = done - std::min(done, before);
    const auto all = total - std::min(total, before);
    if (here < shards_done_min || here < all / shards_done_part) return std::nullopt;
    return seconds * static_cast<double>(all - here) / static_cast<double>(here);
}

std::string short_time(double seconds) {
    const auto s = static_cast<std::uint64_t>(std::ceil(seconds));
    if (s < 60) return fmt::format("{}s", s);
    if (s < 3600) return fmt::format("{}m", (s + 59) / 60);
    if (s < 48 * 3600) return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
    return fmt::format("{}d", s / 86400);
}

std::string to_line(const replicate_progress& now) {
    const auto& c = now.counts;
    std::string out = fmt::format("replicate  shard {}/{}", now.shards_done, now.shards_total);
    if (now.shards_total > 0) out += fmt::format("  {}%", 100 * now.shards_done / now.shards_total);
    out += fmt::format("  {} looked at  {} of {}{} copied {}  {} failed  {}/s", grouped(c.listed),
                       grouped(c.copied + c.replaced), now.all_planned ? "" : ">=", grouped(c.planned),
                       short_bytes(c.bytes), grouped(c.failed + c.bad_source),
                       short_bytes(static_cast<std::uint64_t>(bytes_per_second(now))));
    if (const auto left = seconds_left(now)) out += "  ETA " + short_time(*left);
    return out;
}

std::string to_json(const replicate_progress& now) {
    const auto& c = now.counts;
    const auto left = seconds_left(now);
    return fmt::format(
        R"({{"v":1,"type":"progress","shards_done":{},"shards":{},"listed":{},"copied":{},"bytes":{},"failed":{},)"
        R"("planned":{},"planned_bytes":{},"all_planned":{},"eta_seconds":{}}})",
        now.shards_done, now.shards_total, c.listed, c.copied + c.replaced, c.bytes, c.failed + c.bad_source, c.planned,
        c.planned_bytes, now.all_planned,
        left ? std::to_string(static_cast<std::uint64_t>(std::ceil(*left))) : std::string("null"));
}

}  // namespace keepstore::keepctl
