#include "keepctl/cluster/server_work.hpp"

#include "base/json.hpp"
#include "keepctl/cluster/server_status.hpp"

#include <nlohmann/json.hpp>

namespace keepstore::keepctl {
namespace {

std::optional<list_work> list_of(const nlohmann::json& all, const char* name) {
    const auto found = all.find(name);
    if (found == all.end() || !found->is_object()) return std::nullopt;
    const auto pending = json_number(*found, "pending");
    const auto running = json_number(*found, "in_progress");
    if (!pending || !running) return std::nullopt;
    list_work out{.pending = static_cast<std::int64_t>(*pending), .running = static_cast<std::int64_t>(*running)};
    if (const auto last = found->find("last"); last != found->end() && last->is_object())
        out.last_sha256 = json_text(*last, "sha256");
    if (const auto outcomes = found->find("outcomes"); outcomes != found->end() && outcomes->is_object()) {
        for (const auto& [outcome, value] : outcomes->items()) {
            if (value.is_number_unsigned()) out.outcomes.emplace(outcome, value.get<std::int64_t>());
        }
    }
    return out;
}

std::optional<list_work> gauges_of(std::string_view text, const std::string& kind) {
    const auto pending = metric_value(text, "arvados_keepstore_" + kind + "_queue_pending_entries");
    const auto running = metric_value(text, "arvados_keepstore_" + kind + "_queue_inprogress_entries");
    if (!pending || !running || !(*pending >= 0 && *pending < 1e15) || !(*running >= 0 && *running < 1e15))
        return std::nullopt;
    return list_work{.pending = static_cast<std::int64_t>(*pending), .running = static_cast<std::int64_t>(*running)};
}

}  // namespace

std::optional<server_work> parse_work(std::string_view text) {
    const auto parsed = parse_json(text);
    if (!parsed.is_object()) return std::nullopt;
    auto pull = list_of(parsed, "pull");
    auto trash = list_of(parsed, "trash");
    if (!pull || !trash) return std::nullopt;
    return server_work{
        .started_at = json_text(parsed, "started_at"), .pull = std::move(*pull), .trash = std::move(*trash)};
}

std::optional<server_work> work_of_metrics(std::string_view text) {
    auto pull = gauges_of(text, "pull");
    auto trash = gauges_of(text, "trash");
    if (!pull || !trash) return std::nullopt;
    return server_work{.pull = std::move(*pull), .trash = std::move(*trash)};
}

awaitable<result<std::optional<server_work>>> ask_work(const keep_server& server, deadline until) {
    const auto& access = server.access();
    KS_CO_TRY(const auto work, co_await server.request("GET", "_work", access.token, until));
    if (work.status == 200) {
        if (auto parsed = parse_work(work.body)) co_return parsed;
    }
    if (access.management_token.empty()) co_return std::nullopt;
    KS_CO_TRY(const auto metrics, co_await server.request("GET", "metrics", access.management_token, until));
    if (metrics.status != 200) co_return std::nullopt;
    co_return work_of_metrics(metrics.body);
}

}  // namespace keepstore::keepctl
