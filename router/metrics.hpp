/// The series of docs/metrics.md, in the text exposition format and as JSON. Only requests are counted here; all other
/// values are read from their owners at each scrape.
///
/// Safe to use from any thread.
#pragma once

#include "base/counter.hpp"
#include "pool/buffer_pool.hpp"
#include "protocol/work_lists.hpp"
#include "router/limiter.hpp"
#include "router/request_metrics.hpp"
#include "router/request_table.hpp"
#include "store/block_store.hpp"
#include "store/lists/work_queue.hpp"

#include <prometheus/metric_family.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::router {

class metrics {
  public:
    struct options {
        std::string version;  ///< Of arvados_version_running, e.g. "1.2.3 (go1.25.6)"; empty: the series is left out.
        std::string config_sha256;         ///< Of the file as read; empty: both config series are left out.
        double config_source_seconds = 0;  ///< Its modification time, since 1970.
        double config_load_seconds = 0;    ///< When it was read.
        double signing_ttl_seconds = 0;    ///< BlobSigningTTL; 0: left out.
    };

    /// A value from outside this layer (connections, event loops).
    struct sample {
        std::string name;
        std::string help;
        bool counter = false;  ///< Else a gauge.
        double value = 0;
        std::vector<std::pair<std::string, std::string>> labels = {};
    };

    /// The owners that are read at scrape time. All must outlive the metrics.
    struct sources {
        store::block_store& store;
        const store::work_queue<protocol::pull_item>& pulls;
        const store::work_queue<protocol::trash_item>& trash;
        const limiter& requests_limiter;
        const request_table& requests;
        std::function<std::vector<sample>()> more = {};  ///< May be empty. Samples of one name are adjacent.
    };

    metrics(options, sources);

    [[nodiscard]] request_metrics& requests() noexcept { return requests_; }

    [[nodiscard]] std::string text() const;
    [[nodiscard]] std::string json() const;

  private:
    [[nodiscard]] std::vector<prometheus::MetricFamily> collect() const;
    void collect_requests(std::vector<prometheus::MetricFamily>&) const;
    void collect_limiter(std::vector<prometheus::MetricFamily>&) const;
    void collect_states(std::vector<prometheus::MetricFamily>&) const;
    void collect_volumes(std::vector<prometheus::MetricFamily>&) const;
    void collect_service(std::vector<prometheus::MetricFamily>&) const;
    void collect_own(std::vector<prometheus::MetricFamily>&) const;

    const options options_;
    const sources sources_;
    const std::chrono::system_clock::time_point created_at_ = std::chrono::system_clock::now();
    request_metrics requests_;
};

/// The four samples of one pool, with its name as a label (docs/memory.md).
[[nodiscard]] std::vector<metrics::sample> pool_samples(const std::string& name, const pool::buffer_pool::stats&);

/// Appends one sample for each counter of the set, with its own label and those of `labels`.
void append(std::vector<metrics::sample>& out, const counter_set&,
            const std::vector<std::pair<std::string, std::string>>& labels = {});

}  // namespace keepstore::router
