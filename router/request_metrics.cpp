#include "router/request_metrics.hpp"

#include "router/metric_family.hpp"
#include "router/thread_number.hpp"

#include <algorithm>
#include <span>
#include <string>

namespace keepstore::router {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// A fixed set, so that invented methods cannot exhaust the memory. The first ten are those of the Go daemon's
// request_duration_seconds, where TOUCH is "unknown" (docs/interface.md 6.2).
constexpr std::array<std::string_view, 12> method_names{"get",     "put",    "head",  "post",  "delete", "connect",
                                                        "options", "notify", "trace", "patch", "touch",  "unknown"};
constexpr unsigned method_get = 0, method_put = 1, method_head = 2, method_delete = 4, method_options = 6;
constexpr unsigned method_touch = 10, method_unknown = 11;

unsigned index_of_method(std::string_view method) {
    constexpr std::array<std::string_view, 11> names{"GET",     "PUT",    "HEAD",  "POST",  "DELETE", "CONNECT",
                                                     "OPTIONS", "NOTIFY", "TRACE", "PATCH", "TOUCH"};
    const auto found = std::ranges::find(names, method);
    return found == names.end() ? method_unknown : static_cast<unsigned>(found - names.begin());
}

// TOUCH is a method of time_to_status_seconds only.
unsigned in_duration(unsigned method) {
    return method == method_touch ? method_unknown : method;
}

// The responses to requests of well-behaved programs, and to failures (docs/interface.md 2.6).
constexpr std::array<unsigned, 14> get_statuses{200, 206, 400, 401, 403, 404, 405, 408, 413, 416, 499, 500, 502, 503};
constexpr std::array<unsigned, 12> head_statuses{200, 206, 400, 401, 403, 404, 413, 416, 499, 500, 502, 503};
constexpr std::array<unsigned, 10> put_statuses{200, 400, 401, 403, 408, 413, 499, 500, 503, 507};
constexpr std::array<unsigned, 9> other_statuses{200, 400, 401, 403, 404, 405, 500, 501, 503};
constexpr std::array<unsigned, 1> options_statuses{200};

std::span<const unsigned> usual_statuses(unsigned method) {
    switch (method) {
        case method_get:
            return get_statuses;
        case method_head:
            return head_statuses;
        case method_put:
            return put_statuses;
        case method_delete:
        case method_touch:
        case method_unknown:
            return other_statuses;
        case method_options:
            return options_statuses;
        default:
            return {};
    }
}

}  // namespace

void latency_histogram::observe(std::chrono::steady_clock::duration took) noexcept {
    const double seconds = std::chrono::duration<double>(took).count();
    const auto bucket = std::ranges::lower_bound(bounds_seconds, seconds) - bounds_seconds.begin();
    ++counts_[static_cast<std::size_t>(bucket)];
    sum_seconds_ += seconds;
}

void latency_histogram::add(const latency_histogram& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    sum_seconds_ += other.sum_seconds_;
}

std::uint64_t latency_histogram::count() const noexcept {
    std::uint64_t all = 0;
    for (const auto n : counts_) all += n;
    return all;
}

void latency_histogram::write(prometheus::ClientMetric& out) const {
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < bounds_seconds.size(); ++i) {
        so_far += counts_[i];
        out.histogram.bucket.push_back({.cumulative_count = so_far, .upper_bound = bounds_seconds[i]});
    }
    out.histogram.sample_count = count();
    out.histogram.sample_sum = sum_seconds_;
}

request_metrics::shard& request_metrics::my_shard() noexcept {
    return shards_[thread_number() % shards_.size()];
}

void request_metrics::add(times& into, unsigned method, const request& r, std::chrono::steady_clock::duration took) {
    sum& s = into.all[{method, r.status}];
    ++s.count;
    s.seconds += std::chrono::duration<double>(took).count();
    // Failures are often quick: among the times of blocks they would hide that the others are slow.
    const bool worked = r.status >= 200 && r.status < 300;
    if (r.block && worked && method <= method_put) into.blocks[method].observe(took);
}

void request_metrics::count_logged(const request& r, const durations& took) noexcept {
    const unsigned method = index_of_method(r.method);
    auto& s = my_shard();
    const std::lock_guard lock(s.mutex);
    add(s.duration, in_duration(method), r, took.to_end);
    add(s.to_status, method, r, took.to_status);
}

void request_metrics::count(const request& r, std::chrono::steady_clock::duration to_end) noexcept {
    auto& s = my_shard();
    const std::lock_guard lock(s.mutex);
    add(s.duration, in_duration(index_of_method(r.method)), r, to_end);
}

void request_metrics::collect(std::vector<MetricFamily>& out) const {
    times duration, to_status;
    const auto merge = [](times& into, const times& from) {
        for (const auto& [key, value] : from.all) {
            into.all[key].count += value.count;
            into.all[key].seconds += value.seconds;
        }
        for (std::size_t i = 0; i < from.blocks.size(); ++i) into.blocks[i].add(from.blocks[i]);
    };
    for (const shard& s : shards_) {
        const std::lock_guard lock(s.mutex);
        merge(duration, s.duration);
        merge(to_status, s.to_status);
    }
    for (unsigned method = 0; method < method_names.size(); ++method) {
        for (const unsigned status : usual_statuses(method)) {
            if (method != method_touch) duration.all[{method, status}];
            to_status.all[{method, status}];
        }
    }
    const auto add_summary = [&](std::string_view name, std::string_view help, const sums& all) {
        auto& f = add_family(out, name, help, MetricType::Summary);
        for (const auto& [key, value] : all) {
            auto& m =
                add_metric(f, {{"code", std::to_string(key.second)}, {"method", std::string(method_names[key.first])}});
            m.summary.sample_count = value.count;
            m.summary.sample_sum = value.seconds;
        }
    };
    const auto add_histogram = [&](std::string_view name, std::string_view help, const histograms& blocks) {
        auto& f = add_family(out, name, help, MetricType::Histogram);
        for (std::size_t i = 0; i < blocks.size(); ++i)
            blocks[i].write(add_metric(f, {{"method", std::string(method_names[i])}}));
    };
    add_summary("request_duration_seconds", "Summary of request duration.", duration.all);
    add_summary("time_to_status_seconds", "Summary of request TTFB.", to_status.all);
    add_histogram("keepstore_block_duration_seconds", "Time of successful GETs and PUTs of blocks.", duration.blocks);
    add_histogram("keepstore_block_time_to_status_seconds",
                  "Time until the status line of successful GETs and PUTs of blocks.", to_status.blocks);
}

}  // namespace keepstore::router
