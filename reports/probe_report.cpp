#include "reports/probe_report.hpp"

#include "base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace keepstore::reports {
namespace {

using nlohmann::ordered_json;
using outcome = s3::probe_line::outcome;

std::string_view word(outcome result) {
    return result == outcome::ok ? "ok" : result == outcome::note ? "note" : "failed";
}

std::string name_of(const probe_target& target) {
    return target.uuid.empty() ? "bucket " + target.options.bucket : "volume " + target.uuid;
}

}  // namespace

bool probe_outcome::good() const {
    return ended && std::ranges::none_of(lines, [](const auto& l) { return l.result == outcome::failed; });
}

std::string probe_heading(const probe_target& target) {
    const auto& o = target.options;
    return fmt::format("{}{}{}, {}\n", name_of(target), target.uuid.empty() ? "" : ": bucket " + o.bucket,
                       o.endpoint.empty() ? " in " + o.region : " at " + o.endpoint,
                       target.writes ? "read and write" : "read only: nothing will be written");
}

std::string probe_summary(std::span<const probe_outcome> all) {
    std::string out;
    std::size_t bad = 0;
    std::size_t notes = 0;
    for (const auto& one : all) {
        notes += static_cast<std::size_t>(std::ranges::count(one.lines, outcome::note, &s3::probe_line::result));
        if (one.good()) {
            out += name_of(one.target) + " can be used\n";
            continue;
        }
        ++bad;
        const auto first = std::ranges::find(one.lines, outcome::failed, &s3::probe_line::result);
        out += fmt::format("{} CANNOT be used{}\n", name_of(one.target),
                           first == one.lines.end() ? std::string() : fmt::format(": see {}", first->step));
    }
    const auto noted = notes == 0
                           ? std::string()
                           : fmt::format(", {} to look at", notes == 1 ? "1 note" : fmt::format("{} notes", notes));
    if (bad == 0) return fmt::format("{}ok{}\n", out, noted);
    return fmt::format("{}not ok: {} of {} cannot be used{}\n", out, bad, all.size(), noted);
}

std::string probe_json(std::span<const probe_outcome> all) {
    ordered_json volumes = ordered_json::array();
    for (const auto& one : all) {
        ordered_json steps = ordered_json::array();
        for (const auto& line : one.lines)
            steps.push_back({{"step", line.step}, {"result", word(line.result)}, {"text", line.text}});
        const auto& o = one.target.options;
        volumes.push_back({{"uuid", one.target.uuid},
                           {"bucket", o.bucket},
                           {"endpoint", o.endpoint},
                           {"region", o.region},
                           {"writes", one.target.writes},
                           {"ok", one.good()},
                           {"steps", std::move(steps)}});
    }
    const bool good = std::ranges::all_of(all, &probe_outcome::good);
    return json_to_text(ordered_json{{"ok", good}, {"volumes", std::move(volumes)}}, 2) + "\n";
}

std::string probe_json(std::string_view error) {
    return json_to_text(ordered_json{{"ok", false}, {"error", error}}, 2) + "\n";
}

}  // namespace keepstore::reports
