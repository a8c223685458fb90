#include "router/work_report.hpp"

#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/utc_text.hpp"

#include <nlohmann/json.hpp>

#include <string_view>

namespace keepstore::router {
namespace {

using json = nlohmann::ordered_json;

/// The counters of one family that differ by outcome.
json outcomes_of(const counter_set* counters, std::string_view family) {
    json out = json::object();
    if (!counters) return out;
    counters->for_each([&](const counter& c) {
        if (c.name() == family) out[std::string(c.get_label().value)] = c.value();
    });
    return out;
}

json list_of(const store::list_progress& list, json outcomes) {
    json last = nullptr;
    if (list.last) {
        last = {{"items", list.last->items},
                {"sha256", to_hex(list.last->sha256)},
                {"taken_at", utc_text(list.last->taken_at)}};
    }
    return {{"pending", list.pending},
            {"in_progress", list.in_progress},
            {"outcomes", std::move(outcomes)},
            {"last", std::move(last)}};
}

}  // namespace

std::string work_json(const work_values& v) {
    const json out{{"started_at", utc_text(v.started_at)},
                   {"pull", list_of(v.pulls, outcomes_of(v.pull_counters, "keepstore_pull_items_total"))},
                   {"trash", list_of(v.trash, outcomes_of(&v.trash_counters, "keepstore_trash_items_total"))}};
    return json_to_text(out, 2) + "\n";
}

}  // namespace keepstore::router
