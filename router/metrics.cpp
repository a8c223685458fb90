#include "router/metrics.hpp"

#include "base/json.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "router/metric_family.hpp"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

namespace keepstore::router {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void add_counter(std::vector<MetricFamily>& out, std::string_view name, std::string_view help, std::uint64_t value) {
    add_value(add_family(out, name, help, MetricType::Counter), static_cast<double>(value));
}

// Samples of one name become one family.
void add_sample(std::vector<MetricFamily>& out, const metrics::sample& s) {
    auto at = std::ranges::find(out, s.name, &MetricFamily::name);
    if (at == out.end()) {
        add_family(out, s.name, s.help, s.counter ? MetricType::Counter : MetricType::Gauge);
        at = std::prev(out.end());
    }
    add_value(*at, s.value, s.labels);
}

constexpr std::array<std::string_view, limiter::priority_classes> priority_names{"low", "normal", "high"};
const std::string queue_name = "api";

// By MetricType.
constexpr std::array<std::string_view, 5> type_names{"COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM"};
static_assert(static_cast<std::size_t>(MetricType::Summary) == 2 &&
              static_cast<std::size_t>(MetricType::Histogram) == 4);

// In the JSON of protocol buffers not-a-number and infinities are strings.
nlohmann::ordered_json proto_number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    if (value == std::trunc(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
    return value;
}

nlohmann::ordered_json json_timestamp(std::chrono::system_clock::time_point t) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(t);
    return {{"seconds", std::to_string(whole.time_since_epoch().count())},
            {"nanos", std::chrono::duration_cast<std::chrono::nanoseconds>(t - whole).count()}};
}

}  // namespace

void append(std::vector<metrics::sample>& out, const counter_set& counters, const metric_labels& all) {
    counters.for_each([&](const counter& c) {
        metric_labels ls = all;
        if (!c.get_label().name.empty()) ls.emplace_back(c.get_label().name, c.get_label().value);
        out.push_back(
            {std::string(c.name()), std::string(c.help()), true, static_cast<double>(c.value()), std::move(ls)});
    });
}

std::vector<metrics::sample> pool_samples(const std::string& name, const pool::buffer_pool::stats& s) {
    const metric_labels of{{"pool", name}};
    const auto value = [](auto number) { return static_cast<double>(number); };
    return {{"keepstore_pool_budget_bytes", "Block memory that may be used", false, value(s.budget_bytes), of},
            {"keepstore_pool_in_use_bytes", "Block memory handed out", false, value(s.in_use_bytes), of},
            {"keepstore_pool_waiters", "Operations that wait for block memory", false, value(s.waiters), of},
            {"keepstore_pool_waits_total", "Times that an operation had to wait for block memory", true,
             value(s.waits_total), of}};
}

metrics::metrics(options o, sources s) : options_(std::move(o)), sources_(std::move(s)) {}

void metrics::collect_requests(std::vector<MetricFamily>& out) const {
    requests_.collect(out);
    const auto ages = sources_.requests.oldest();
    add_gauge(out, "arvados_max_active_request_age_seconds", "Age of oldest active request", ages.active_seconds);
    add_gauge(out, "arvados_max_abandoned_request_age_seconds",
              "Time since the first client left whose request is still being worked on", ages.abandoned_seconds);
}

void metrics::collect_states(std::vector<MetricFamily>& out) const {
    using volumes::volume_state;
    auto& states =
        add_family(out, "keepstore_volume_state", "1 for the state that the volume is in", MetricType::Gauge);
    const auto add_states = [&](const store::mount& m, std::string_view operation, volume_state current) {
        for (const auto s : {volume_state::healthy, volume_state::slow, volume_state::stalled, volume_state::failing,
                             volume_state::gone}) {
            add_value(states, s == current ? 1 : 0,
                      {{"device_id", m.volume->device_id()},
                       {"mount", m.uuid},
                       {"operation", std::string(operation)},
                       {"state", std::string(volumes::to_string(s))}});
        }
    };
    for (const store::mount& m : sources_.store.mounts().all()) {
        const auto now = m.volume->state();
        add_states(m, "read", now.reads);
        if (m.allow_write) add_states(m, "write", now.writes);
    }
}

void metrics::collect_limiter(std::vector<MetricFamily>& out) const {
    const auto s = sources_.requests_limiter.snapshot();
    const auto number = [](std::size_t n) { return static_cast<double>(n); };
    add_gauge(out, "arvados_concurrent_requests", "Number of requests in progress", number(s.concurrent),
              {{"queue", queue_name}});
    add_gauge(out, "arvados_max_concurrent_requests", "Maximum number of concurrent requests", number(s.concurrent_max),
              {{"queue", queue_name}});
    add_gauge(out, "arvados_max_queued_requests", "Maximum number of queued requests", number(s.queued_max),
              {{"queue", queue_name}});
    add_gauge(out, "keepstore_stalled_requests",
              "Requests that wait for their own client and take no place among the concurrent ones", number(s.stalled));
    auto& queued = add_family(out, "arvados_queued_requests", "Number of requests in queue", MetricType::Gauge);
    for (std::size_t i = 0; i < limiter::priority_classes; ++i)
        add_value(queued, number(s.queued[i]), {{"priority", std::string(priority_names[i])}, {"queue", queue_name}});
    const auto add_summary = [&](std::string_view name, std::string_view help, const auto& by_class) {
        auto& f = add_family(out, name, help, MetricType::Summary);
        for (std::size_t i = 0; i < limiter::priority_classes; ++i) {
            auto& m = add_metric(f, {{"priority", std::string(priority_names[i])}, {"queue", queue_name}});
            m.summary.sample_count = by_class[i].count;
            m.summary.sample_sum = by_class[i].sum_seconds;
            for (std::size_t q = 0; q < windowed_summary::quantiles.size(); ++q)
                m.summary.quantile.push_back({windowed_summary::quantiles[q], by_class[i].values[q]});
        }
    };
    add_summary("arvados_queue_delay_seconds", "Time spent in the queue before a request was worked on", s.delay);
    add_summary("arvados_queue_timeout_seconds", "Time spent in the queue by requests that were refused or left",
                s.timeout);
}

void metrics::collect_volumes(std::vector<MetricFamily>& out) const {
    std::map<std::string, volumes::volume_stats> by_device;
    std::set<const volumes::volume*> seen;
    for (const store::mount& m : sources_.store.mounts().all())
        if (seen.insert(m.volume.get()).second) by_device[m.volume->device_id()].add(m.volume->stats());
    auto operations =
        MetricFamily{"arvados_keepstore_volume_operations", "Number of volume operations", MetricType::Counter, {}};
    auto errors = MetricFamily{"arvados_keepstore_volume_errors", "Number of volume errors", MetricType::Counter, {}};
    auto bytes =
        MetricFamily{"arvados_keepstore_volume_io_bytes", "Volume I/O traffic in bytes", MetricType::Counter, {}};
    auto size =
        MetricFamily{"keepstore_volume_size_bytes", "Size of the file system of the volume", MetricType::Gauge, {}};
    auto available = MetricFamily{
        "keepstore_volume_available_bytes", "Space on it that blocks may still take", MetricType::Gauge, {}};
    for (const auto& [device, stats] : by_device) {
        for (const auto& [name, n] : stats.operations)
            add_value(operations, static_cast<double>(n), {{"device_id", device}, {"operation", name}});
        for (const auto& [name, n] : stats.errors)
            add_value(errors, static_cast<double>(n), {{"device_id", device}, {"error_type", name}});
        add_value(bytes, static_cast<double>(stats.bytes_in), {{"device_id", device}, {"direction", "in"}});
        add_value(bytes, static_cast<double>(stats.bytes_out), {{"device_id", device}, {"direction", "out"}});
        if (stats.space) {
            add_value(size, static_cast<double>(stats.space->size_bytes), {{"device_id", device}});
            add_value(available, static_cast<double>(stats.space->available_bytes), {{"device_id", device}});
        }
        for (const auto& own : stats.own) {
            metric_labels labels{{"device_id", device}};
            if (!own.label.empty()) labels.emplace_back(own.label, own.label_value);
            add_sample(out, {own.name, own.help, true, static_cast<double>(own.value), std::move(labels)});
        }
    }
    for (auto* f : {&operations, &errors, &bytes, &size, &available})
        if (!f->metric.empty()) out.push_back(std::move(*f));
}

void metrics::collect_service(std::vector<MetricFamily>& out) const {
    if (!options_.config_sha256.empty()) {
        add_gauge(out, "arvados_config_source_timestamp_seconds", "Timestamp of config file when loaded.",
                  options_.config_source_seconds, {{"sha256", options_.config_sha256}});
        add_gauge(out, "arvados_config_load_timestamp_seconds", "Time when config file was loaded.",
                  options_.config_load_seconds, {{"sha256", options_.config_sha256}});
    }
    if (!options_.version.empty())
        add_gauge(out, "arvados_version_running", "Indicated version is running.", 1, {{"version", options_.version}});
    if (options_.signing_ttl_seconds > 0)
        add_gauge(out, "keepstore_blob_signing_ttl_seconds", "BlobSigningTTL: blocks younger than this are not trashed",
                  options_.signing_ttl_seconds);

    // The Go daemon counts whole 64 MiB buffers. We hand out small chunks, so these gauges are fractions of such a
    // buffer; their ratio, which dashboards plot, has the same meaning.
    const auto pool = sources_.store.context().request_pool.snapshot();
    constexpr auto buffer = static_cast<double>(limits::block_size_bytes_max);
    add_gauge(out, "arvados_keepstore_bufferpool_allocated_bytes", "Number of bytes allocated to buffers",
              static_cast<double>(pool.allocated_bytes));
    add_gauge(out, "arvados_keepstore_bufferpool_max_buffers", "Maximum number of buffers allowed",
              static_cast<double>(pool.budget_bytes) / buffer);
    add_gauge(out, "arvados_keepstore_bufferpool_inuse_buffers", "Number of buffers in use",
              static_cast<double>(pool.in_use_bytes) / buffer);

    const auto queue = [&](const std::string& name, std::size_t pending, std::size_t in_progress) {
        add_gauge(out, "arvados_keepstore_" + name + "_queue_pending_entries", "Number of queued " + name + " requests",
                  static_cast<double>(pending));
        add_gauge(out, "arvados_keepstore_" + name + "_queue_inprogress_entries",
                  "Number of " + name + " requests in progress", static_cast<double>(in_progress));
    };
    queue("pull", sources_.pulls.pending(), sources_.pulls.in_progress());
    queue("trash", sources_.trash.pending(), sources_.trash.in_progress());
}

void metrics::collect_own(std::vector<MetricFamily>& out) const {
    const auto pool = sources_.store.context().request_pool.snapshot();
    for (const sample& s : pool_samples("request", pool)) add_sample(out, s);
    std::vector<sample> counted;
    append(counted, sources_.store.counters());
    for (const sample& s : counted) add_sample(out, s);
    add_gauge(out, "keepstore_read_window_bytes", "Buffer memory held by reads of large blocks",
              static_cast<double>(sources_.store.read_window_bytes()));
    add_counter(out, "keepstore_log_lines_dropped_total", "Log lines lost because their reader was too slow",
                log::dropped_lines());
    auto& healthy =
        add_family(out, "keepstore_volume_healthy", "Whether the volume answers at present", MetricType::Gauge);
    for (const store::mount& m : sources_.store.mounts().all())
        add_value(healthy, m.volume->health().empty() ? 1 : 0,
                  {{"device_id", m.volume->device_id()}, {"mount", m.uuid}});
    if (healthy.metric.empty()) {
        out.pop_back();
    } else {
        collect_states(out);
    }
    if (!sources_.more) return;
    for (const sample& s : sources_.more()) add_sample(out, s);
}

std::vector<MetricFamily> metrics::collect() const {
    std::vector<MetricFamily> out;
    collect_requests(out);
    collect_limiter(out);
    collect_volumes(out);
    collect_service(out);
    collect_own(out);
    std::ranges::sort(out, {}, &MetricFamily::name);
    return out;
}

std::string metrics::text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, collect());
    return std::move(out).str();
}

// The protocol buffer io.prometheus.client.MetricFamily in its JSON form: 64-bit integers as strings
// (docs/interface.md 6.1).
std::string metrics::json() const {
    using json_value = nlohmann::ordered_json;
    const auto created = json_timestamp(created_at_);
    auto array = json_value::array();
    for (const MetricFamily& f : collect()) {
        auto list = json_value::array();
        for (const ClientMetric& m : f.metric) {
            json_value item = json_value::object();
            if (!m.label.empty()) {
                auto& names = item["label"] = json_value::array();
                for (const auto& l : m.label) names.push_back({{"name", l.name}, {"value", l.value}});
            }
            if (f.type == MetricType::Gauge) {
                item["gauge"] = {{"value", proto_number(m.gauge.value)}};
            } else if (f.type == MetricType::Counter) {
                item["counter"] = {{"value", proto_number(m.counter.value)}, {"createdTimestamp", created}};
            } else if (f.type == MetricType::Histogram) {
                auto& h = item["histogram"] = {{"sampleCount", std::to_string(m.histogram.sample_count)},
                                               {"sampleSum", proto_number(m.histogram.sample_sum)}};
                auto& buckets = h["bucket"] = json_value::array();
                for (const auto& b : m.histogram.bucket)
                    buckets.push_back({{"cumulativeCount", std::to_string(b.cumulative_count)},
                                       {"upperBound", proto_number(b.upper_bound)}});
                h["createdTimestamp"] = created;
            } else {
                auto& s = item["summary"] = {{"sampleCount", std::to_string(m.summary.sample_count)},
                                             {"sampleSum", proto_number(m.summary.sample_sum)}};
                if (!m.summary.quantile.empty()) {
                    auto& quantiles = s["quantile"] = json_value::array();
                    for (const auto& q : m.summary.quantile)
                        quantiles.push_back({{"quantile", q.quantile}, {"value", proto_number(q.value)}});
                }
                s["createdTimestamp"] = created;
            }
            list.push_back(std::move(item));
        }
        array.push_back({{"name", f.name},
                         {"help", f.help},
                         {"type", type_names[static_cast<std::size_t>(f.type)]},
                         {"metric", std::move(list)}});
    }
    return json_to_text(array, 2) + "\n";
}

}  // namespace keepstore::router
