#include "keepctl/cluster/server_status.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace keepstore::keepctl {
namespace {

std::optional<std::int64_t> to_whole(double value) {
    return value >= 0 && value < 9e18 ? std::optional(static_cast<std::int64_t>(value)) : std::nullopt;
}

std::optional<std::int64_t> whole(std::string_view metrics, std::string_view name) {
    const auto value = metric_value(metrics, name);
    return value ? to_whole(*value) : std::nullopt;
}

void read_mounts(server_status& out, std::string_view text) {
    // From good to bad, as in docs/volume-health.md.
    constexpr std::array<std::string_view, 5> states{"healthy", "slow", "stalled", "failing", "gone"};
    const auto rank = [&](std::string_view state) { return std::ranges::find(states, state); };
    for (const auto& sample : metric_samples(text, "keepstore_volume_state")) {
        const auto state = sample.label("state");
        if (sample.value != 1 || rank(state) == states.end()) continue;
        auto& health = out.mount_states[std::string(sample.label("mount"))].health;
        if (!health || rank(*health) < rank(state)) health = state;
    }
    for (const auto& sample : metric_samples(text, "keepstore_volume_available_bytes")) {
        for (const auto& m : out.mounts) {
            if (m.device_id == sample.label("device_id")) out.mount_states[m.uuid].free_bytes = to_whole(sample.value);
        }
    }
    for (const auto& sample : metric_samples(text, "keepstore_scrub_irreparable_copies"))
        out.mount_states[std::string(sample.label("mount"))].irreparable = to_whole(sample.value);
    const auto progress = metric_samples(text, "keepstore_scrub_progress_ratio");
    for (const auto& running : metric_samples(text, "keepstore_scrub_running")) {
        if (running.value != 1) continue;
        const auto mount = running.label("mount");
        const auto found = std::ranges::find_if(progress, [&](const auto& p) { return p.label("mount") == mount; });
        if (found != progress.end()) out.mount_states[std::string(mount)].scrub_percent = to_whole(found->value * 100);
    }
}

void read_metrics(server_status& out, std::string_view text) {
    out.version = metric_label(text, "arvados_version_running", "version");
    out.config_sha256 = metric_label(text, "arvados_config_source_timestamp_seconds", "sha256");
    out.requests = whole(text, "arvados_concurrent_requests");
    out.oldest_request_seconds = whole(text, "arvados_max_active_request_age_seconds");
    out.pulls_pending = whole(text, "arvados_keepstore_pull_queue_pending_entries");
    out.pulls_running = whole(text, "arvados_keepstore_pull_queue_inprogress_entries");
    out.trash_pending = whole(text, "arvados_keepstore_trash_queue_pending_entries");
    out.trash_running = whole(text, "arvados_keepstore_trash_queue_inprogress_entries");
    read_mounts(out, text);
}

}  // namespace

awaitable<server_status> ask_status(const keep_server& server, deadline until) {
    server_status out;
    auto health = co_await server.request("GET", "_health/ready", {}, until);
    if (!health) {
        out.problem = health.error().text;
        co_return out;
    }
    out.clock_ahead = clock_ahead(*health);
    // The Go daemon has no such path.
    if (health->status == 200 || health->status == 503) {
        out.ready = health->status == 200;
        out.reasons = parse_reasons(health->body);
    }
    auto mounts = co_await server.mounts(until);
    if (mounts) {
        out.reachable = true;
        out.mounts = std::move(mounts->mounts);
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
