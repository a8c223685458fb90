#include "router/scrub_report.hpp"

#include "base/json.hpp"
#include "router/json_time.hpp"
#include "store/limits.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <iterator>
#include <optional>

namespace keepstore::router {
namespace {

using json = nlohmann::ordered_json;

json counts_of(const store::scrub_counts& c) {
    return {{"blocks_checked", c.blocks},
            {"bytes_read", c.bytes},
            {"bad", c.bad},
            {"unreadable", c.unreadable},
            {"repaired", c.repaired},
            {"irreparable", c.irreparable},
            {"vanished", c.vanished},
            {"waypoints_written", c.waypoints_written}};
}

json entry_of(const store::scrub_status& s) {
    json out{{"mount", s.mount},
             {"same_device", s.same_device},
             {"device_id", s.device_id},
             {"repairs", s.repairs},
             {"state", store::to_string(s.state)}};
    if (!s.reason.empty()) out["reason"] = s.reason;
    const double progress = static_cast<double>(s.position) / limits::scrub_steps;
    out["position"] = s.position;
    out["progress"] = std::round(progress * 10'000) / 10'000;
    out["started_at"] = time_or_null(s.started);
    out["ended_at"] = time_or_null(s.ended);
    out["last_complete_at"] = time_or_null(s.last_complete);
    out["next_due_at"] = time_or_null(s.next_due);
    out["rate_limit"] = s.rate_limit;
    out["rate"] = static_cast<std::uint64_t>(std::max(s.rate, 0.0));
    out["seconds_left"] = s.left ? json(s.left->count()) : json(nullptr);
    out.update(counts_of(s.pass));
    auto list = json::array();
    for (const auto& copy : s.irreparable) {
        list.push_back({{"block", copy.block.hex()},
                        {"size", copy.size},
                        {"offset", copy.offset},
                        {"problem", copy.problem},
                        {"first_seen_at", time_or_null(copy.first_seen)}});
    }
    out["irreparable_copies"] = std::move(list);
    out["irreparable_copies_not_listed"] = s.irreparable_unlisted;
    return out;
}

double unix_seconds(const std::optional<store::scrub_time>& at) {
    return at ? std::chrono::duration<double>(at->time_since_epoch()).count() : 0;
}

}  // namespace

std::string scrub_json(const std::vector<store::scrub_status>& all) {
    auto list = json::array();
    for (const auto& s : all) list.push_back(entry_of(s));
    return json_to_text(json{{"scrubs", std::move(list)}}, 2) + "\n";
}

std::vector<metrics::sample> scrub_samples(const std::vector<store::scrub_status>& all) {
    std::vector<metrics::sample> out;
    for (const auto& s : all) {
        const auto add = [&](std::string name, std::string help, bool counter, double value) {
            out.push_back({.name = "keepstore_scrub_" + std::move(name),
                           .help = std::move(help),
                           .counter = counter,
                           .value = value,
                           .labels = {{"mount", s.mount}}});
        };
        const auto count = [&](std::string name, std::string help, std::uint64_t n) {
            add(std::move(name), std::move(help), true, static_cast<double>(n));
        };
        count("blocks_total", "Stored copies checked by scrubs", s.total.blocks);
        count("bytes_total", "Bytes read by scrubs", s.total.bytes);
        count("bad_copies_total", "Copies that scrubs found not to be what their name says", s.total.bad);
        count("unreadable_copies_total", "Copies that scrubs could not read", s.total.unreadable);
        count("repaired_copies_total", "Bad or unreadable copies that scrubs replaced by good data", s.total.repaired);
        count("waypoints_written_total", "Good blocks that scrubs gave waypoints", s.total.waypoints_written);
        add("irreparable_copies", "Bad copies without a good one elsewhere, left as they are", false,
            static_cast<double>(s.irreparable.size() + s.irreparable_unlisted));
        add("running", "Whether a scrub runs", false, s.state == store::scrub_state::running ? 1 : 0);
        add("progress_ratio", "How much of the volume the present scrub has checked", false,
            static_cast<double>(s.position) / limits::scrub_steps);
        add("last_complete_timestamp_seconds", "When a scrub was complete last; 0: never", false,
            unix_seconds(s.last_complete));
    }
    return out;
}

}  // namespace keepstore::router
