/// Builds the metric families of prometheus-cpp that /metrics serialises: one family for each name, labels sorted.
#pragma once

#include <prometheus/metric_family.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::router {

using metric_labels = std::vector<std::pair<std::string, std::string>>;

inline prometheus::MetricFamily& add_family(std::vector<prometheus::MetricFamily>& out, std::string_view name,
                                            std::string_view help, prometheus::MetricType type) {
    auto& f = out.emplace_back();
    f.name = name;
    f.help = help;
    f.type = type;
    return f;
}

inline prometheus::ClientMetric& add_metric(prometheus::MetricFamily& f, metric_labels labels) {
    auto& m = f.metric.emplace_back();
    std::ranges::sort(labels);
    for (auto& [name, value] : labels) m.label.push_back({std::move(name), std::move(value)});
    return m;
}

/// Adds a sample to a family of counters or gauges.
inline void add_value(prometheus::MetricFamily& f, double value, metric_labels labels = {}) {
    auto& m = add_metric(f, std::move(labels));
    if (f.type == prometheus::MetricType::Counter) {
        m.counter.value = value;
    } else {
        m.gauge.value = value;
    }
}

/// Adds a family with one gauge.
inline void add_gauge(std::vector<prometheus::MetricFamily>& out, std::string_view name, std::string_view help,
                      double value, metric_labels labels = {}) {
    add_value(add_family(out, name, help, prometheus::MetricType::Gauge), value, std::move(labels));
}

}  // namespace keepstore::router
