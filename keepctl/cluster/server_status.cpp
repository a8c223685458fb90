#include "keepctl/cluster/server_status.hpp"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// The first line of this metric: what follows its name.
std::optional<std::string_view> metric_line(std::string_view text, std::string_view name) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (!line.starts_with(name)) continue;
        const auto rest = line.substr(name.size());
        if (rest.starts_with(' ') || rest.starts_with('{')) return rest;
    }
    return std::nullopt;
}

std::optional<std::int64_t> whole(std::string_view metrics, std::string_view name) {
    const auto value = metric_value(metrics, name);
    if (!value || !(*value >= 0 && *value < 9e15)) return std::nullopt;
    return static_cast<std::int64_t>(*value);
}

void read_metrics(server_status& out, std::string_view text) {
    out.version = metric_label(text, "arvados_version_running", "version");
    out.config_sha256 = metric_label(text, "arvados_config_source_timestamp_seconds", "sha256");
    out.requests = whole(text, "arvados_concurrent_requests");
    out.pulls_pending = whole(text, "arvados_keepstore_pull_queue_pending_entries");
    out.pulls_running = whole(text, "arvados_keepstore_pull_queue_inprogress_entries");
    out.trash_pending = whole(text, "arvados_keepstore_trash_queue_pending_entries");
    out.trash_running = whole(text, "arvados_keepstore_trash_queue_inprogress_entries");
}

}  // namespace

std::optional<double> metric_value(std::string_view text, std::string_view name) {
    const auto rest = metric_line(text, name);
    if (!rest) return std::nullopt;
    const auto brace = rest->rfind('}');
    const auto from = rest->find_first_not_of(' ', brace == std::string_view::npos ? 0 : brace + 1);
    if (from == std::string_view::npos) return std::nullopt;
    const auto number = rest->substr(from);
    double out = 0;
    const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), out);
    return failed == std::errc() && end != number.data() ? std::optional(out) : std::nullopt;
}

std::optional<std::string> metric_label(std::string_view text, std::string_view name, std::string_view label) {
    const auto rest = metric_line(text, name);
    if (!rest) return std::nullopt;
    const std::string key = fmt::format("{}=\"", label);
    const auto begin = rest->find(key);
    if (begin == std::string_view::npos) return std::nullopt;
    const auto value = rest->substr(begin + key.size());
    const auto end = value.find('"');
    if (end == std::string_view::npos) return std::nullopt;
    return std::string(value.substr(0, end));
}

awaitable<server_status> ask_status(const keep_server& server, deadline until) {
    server_status out;
    auto health = co_await server.request("GET", "_health/ready", {}, until);
    if (!health) {
        out.problem = health.error().text;
        co_return out;
    }
    if (health->date) {
        using namespace std::chrono;
        out.clock_ahead = *health->date - round<seconds>(system_clock::now() - health->took / 2);
    }
    // The Go daemon has no such path.
    if (health->status == 200 || health->status == 503) {
        out.ready = health->status == 200;
        out.reasons = parse_reasons(health->body);
    }
    auto mounts = co_await server.mounts(until);
    if (mounts) {
        out.reachable = true;
        out.mounts = std::move(*mounts);
    } else {
        // Without the right token it is a keepstore nevertheless.
        out.reachable = mounts.error() == errc::unauthorized || mounts.error() == errc::forbidden;
        out.problem = mounts.error().text;
    }
    if (server.access().management_token.empty()) co_return out;
    const auto metrics = co_await server.request("GET", "metrics", server.access().management_token, until);
    if (metrics && metrics->status == 200) read_metrics(out, metrics->body);
    co_return out;
}

}  // namespace keepstore::keepctl
