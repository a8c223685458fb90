#include "router/status_page/status_values.hpp"

#include "base/utc_text.hpp"
#include "router/json_time.hpp"
#include "router/limits.hpp"
#include "router/request_id.hpp"
#include "store/limits.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>

namespace keepstore::router {
namespace {

using json = nlohmann::ordered_json;

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// What was counted per second between two samples; null if they are too close to tell.
class rate_of {
  public:
    rate_of(std::chrono::steady_clock::time_point before, std::chrono::steady_clock::time_point now)
        : seconds_(std::chrono::duration<double>(now - before).count()) {}
    json operator()(std::uint64_t before, std::uint64_t now) const {
        if (seconds_ < 0.5) return nullptr;
        return now < before ? 0.0 : static_cast<double>(now - before) / seconds_;
    }

  private:
    double seconds_;
};

json quantiles_of(const windowed_summary::stats& s) {
    json out;
    for (std::size_t i = 0; i < windowed_summary::quantiles.size(); ++i) {
        const auto name = fmt::format("p{:.0f}", windowed_summary::quantiles[i] * 100);
        out[name] = std::isnan(s.values[i]) ? json(nullptr) : json(s.values[i]);
    }
    return out;
}

std::uint64_t sum_of(const std::map<std::string, std::uint64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const auto& entry) { return sum + entry.second; });
}

// The second number of /proc/self/statm; null without /proc.
json resident_bytes() {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"), std::fclose);
    unsigned long long pages = 0;
    if (!file || std::fscanf(file.get(), "%*u %llu", &pages) != 1) return nullptr;
    return pages * static_cast<unsigned long long>(::sysconf(_SC_PAGESIZE));
}

json pool_of(std::string_view name, const pool::buffer_pool::stats& s) {
    return {{"name", name},
            {"in_use_bytes", s.in_use_bytes},
            {"budget_bytes", s.budget_bytes},
            {"waiters", s.waiters},
            {"waits", s.waits_total}};
}

// Null where the storage has no limit, or before it was measured.
json space_of(const volumes::volume_stats& stats) {
    if (!stats.space || stats.space->size_bytes == 0) return nullptr;
    const auto size = static_cast<double>(stats.space->size_bytes);
    return {{"size_bytes", stats.space->size_bytes},
            {"available_bytes", stats.space->available_bytes},
            {"used_ratio", 1 - static_cast<double>(stats.space->available_bytes) / size}};
}

json lines_of(const recent_lines& lines) {
    auto out = json::array();
    for (const auto& line : lines.snapshot())
        out.push_back({{"at", utc_text(line.at)},
                       {"level", line.level},
                       {"request_id", line.request_id},
                       {"message", line.message},
                       {"details", line.details}});
    return out;
}

json digest_part(const store::store_context& store, const status_counters& now, const status_counters& before,
                 const rate_of& rate) {
    const auto ratio = [](std::uint64_t lanes, std::uint64_t passes) {
        return passes == 0 ? json(nullptr) : json(static_cast<double>(lanes) / static_cast<double>(passes));
    };
    return {{"instructions", store.engine.target()},
            {"lanes", store.engine.lanes()},
            {"bytes_per_second", rate(before.digest_bytes, now.digest_bytes)},
            {"lanes_per_pass", ratio(now.digest_lanes - before.digest_lanes, now.digest_passes - before.digest_passes)},
            {"lanes_per_pass_since_start", ratio(now.digest_lanes, now.digest_passes)},
            {"bytes", now.digest_bytes},
            {"single_bytes", now.digest_single_bytes}};
}

}  // namespace

status_values::status_values(options o, sources s)
    : options_(std::move(o)), sources_(std::move(s)), host_(host_name()), instance_(make_request_id().substr(4)) {}

std::vector<volumes::volume_stats> status_values::volume_stats() const {
    std::vector<volumes::volume_stats> out;
    for (const store::mount& m : sources_.store.mounts().all()) out.push_back(m.volume->stats());
    return out;
}

service_values status_values::service() const {
    return sources_.service ? sources_.service() : service_values{};
}

status_counters status_values::counters(const std::vector<volumes::volume_stats>& volumes) const {
    status_counters out;
    out.at = std::chrono::steady_clock::now();
    for (const auto& stats : volumes) {
        out.volumes.push_back({.bytes_in = stats.bytes_in,
                               .bytes_out = stats.bytes_out,
                               .operations = sum_of(stats.operations),
                               .errors = sum_of(stats.errors)});
    }
    out.requests = stats_.counts();
    const auto digest = sources_.store.context().engine.snapshot();
    out.digest_bytes = digest.bytes_total;
    out.digest_single_bytes = digest.bytes_single_total;
    out.digest_passes = digest.passes_total;
    out.digest_lanes = digest.lanes_used_total;
    return out;
}

json status_values::service_part() const {
    const auto readiness = sources_.health.check();
    const bool draining = sources_.health.draining();
    const char* const state = draining                     ? "stopping"
                              : !readiness.ready           ? "not ready"
                              : !readiness.reasons.empty() ? "degraded"
                                                           : "serving";
    return {{"host", host_},
            {"cluster", options_.cluster_id},
            {"version", options_.version},
            {"state", state},
            {"started_at", utc_text(started_)},
            {"uptime", std::chrono::duration<double>(std::chrono::steady_clock::now() - started_steady_).count()},
            {"problems", readiness.reasons}};
}

json status_values::requests_part(const status_counters& now, const status_counters& before) const {
    const auto queue = sources_.requests_limiter.snapshot();
    const auto oldest = sources_.requests.oldest();
    const auto stats = stats_.snapshot(now.at);
    const rate_of rate(before.at, now.at);
    const auto sum = [](const auto& counts) { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); };
    auto kinds = json::array();
    for (std::size_t k = 0; k < stats.size(); ++k)
        kinds.push_back({{"method", request_stats::kind_names[k]},
                         {"per_second", rate(before.requests[k], now.requests[k])},
                         {"count", stats[k].count},
                         {"refused", stats[k].refused},
                         {"failed", stats[k].failed},
                         {"to_status", quantiles_of(stats[k].to_status)},
                         {"to_end", quantiles_of(stats[k].to_end)}});
    const auto normal = static_cast<std::size_t>(limiter::priority_class::normal);
    return {{"active", queue.concurrent},
            {"active_max", queue.concurrent_max},
            {"waiting_for_client", queue.stalled},
            {"queued", sum(queue.queued)},
            {"queued_high_priority", queue.queued[static_cast<std::size_t>(limiter::priority_class::high)]},
            {"queued_max", queue.queued_max},
            {"queue_delay", quantiles_of(queue.delay[normal])},
            {"oldest_seconds", oldest.active_seconds},
            {"per_second", rate(sum(before.requests), sum(now.requests))},
            {"by_method", std::move(kinds)}};
}

json status_values::volumes_part(const std::vector<volumes::volume_stats>& stats, const status_counters& now,
                                 const status_counters& before) const {
    const rate_of rate(before.at, now.at);
    auto out = json::array();
    const auto mounts = sources_.store.mounts().all();
    for (std::size_t i = 0; i < mounts.size(); ++i) {
        const store::mount& m = mounts[i];
        const auto& current = now.volumes[i];
        const auto earlier = i < before.volumes.size() ? before.volumes[i] : status_counters::volume{};
        const auto states = m.volume->state();
        auto classes = json::array();
        for (const auto& [name, used] : m.storage_classes)
            if (used) classes.push_back(name);
        json entry{{"mount", m.uuid},
                   {"device_id", m.volume->device_id()},
                   {"reads", volumes::to_string(states.reads)},
                   {"writes", m.allow_write ? json(volumes::to_string(states.writes)) : json(nullptr)},
                   {"problem", m.volume->health()},
                   {"allow_write", m.allow_write},
                   {"allow_trash", m.allow_trash},
                   {"replication", m.replication},
                   {"storage_classes", std::move(classes)}};
        entry["space"] = space_of(stats[i]);
        entry["read_rate"] = rate(earlier.bytes_in, current.bytes_in);
        entry["write_rate"] = rate(earlier.bytes_out, current.bytes_out);
        entry["operations_per_second"] = rate(earlier.operations, current.operations);
        entry["errors"] = current.errors;
        entry["errors_per_second"] = rate(earlier.errors, current.errors);
        out.push_back(std::move(entry));
    }
    return out;
}

json status_values::memory_part(const service_values& service) const {
    auto pools = json::array();
    const auto& context = sources_.store.context();
    pools.push_back(pool_of("request", context.request_pool.snapshot()));
    pools.push_back(pool_of("copy", context.copy_pool.snapshot()));
    pools.push_back(pool_of("scratch", context.scratch_pool.snapshot()));
    if (sources_.scrub) {
        pools.push_back(pool_of("scrub_check", sources_.scrub->memory().checks));
        pools.push_back(pool_of("scrub_repair", sources_.scrub->memory().repairs));
    }
    for (const auto& [name, stats] : service.pools) pools.push_back(pool_of(name, stats));
    return {{"resident_bytes", resident_bytes()}, {"pools", std::move(pools)}};
}

json status_values::scrubs_part() const {
    auto out = json::array();
    if (!sources_.scrub) return out;
    const auto all = sources_.scrub->status();
    if (!all) return out;
    for (const auto& s : *all)
        out.push_back({{"mount", s.mount},
                       {"state", store::to_string(s.state)},
                       {"reason", s.reason},
                       {"progress", static_cast<double>(s.position) / limits::scrub_steps},
                       {"rate", s.state == store::scrub_state::running ? json(s.rate) : json(nullptr)},
                       {"seconds_left", s.left ? json(s.left->count()) : json(nullptr)},
                       {"blocks", s.pass.blocks},
                       {"bad", s.pass.bad + s.pass.unreadable},
                       {"repaired", s.pass.repaired},
                       {"irreparable", s.irreparable.size() + s.irreparable_unlisted},
                       {"last_complete_at", time_or_null(s.last_complete)},
                       {"next_due_at", time_or_null(s.next_due)}});
    return out;
}

json status_values::gather() const {
    const auto stats = volume_stats();
    const auto service = this->service();
    const auto& connections = service.connections;
    const auto now = counters(stats);
    const auto before = samples_.oldest();
    const rate_of rate(before.at, now.at);
    const auto list = [](const auto& items) {
        return json{{"pending", items.pending()}, {"in_progress", items.in_progress()}};
    };
    return {{"instance", instance_},
            {"time", utc_text(std::chrono::system_clock::now())},
            {"service", service_part()},
            {"connections",
             {{"open", connections.connections_open},
              {"idle", connections.connections_idle},
              {"max", connections.connections_max}}},
            {"requests", requests_part(now, before)},
            {"volumes", volumes_part(stats, now, before)},
            {"digest", digest_part(sources_.store.context(), now, before, rate)},
            {"memory", memory_part(service)},
            {"scrubs", scrubs_part()},
            {"lists", {{"pull", list(sources_.pulls)}, {"trash", list(sources_.trash)}}},
            {"failed_requests", lines_of(failed_requests_)},
            {"log", lines_of(log::recent())}};
}

}  // namespace keepstore::router
