/// Gathers what the status page shows into one JSON document, which GET /_status.json returns (docs/status-page.md
/// lists the fields). Reads counters and states that their owners keep anyway, and never waits for a volume.
/// Safe to use from any thread.
#pragma once

#include "base/recent_lines.hpp"
#include "net/server/server.hpp"
#include "pool/buffer_pool.hpp"
#include "protocol/work_lists.hpp"
#include "router/health.hpp"
#include "router/limiter.hpp"
#include "router/request_table.hpp"
#include "router/status_page/rate_samples.hpp"
#include "router/status_page/request_stats.hpp"
#include "store/block_store.hpp"
#include "store/lists/work_queue.hpp"
#include "store/scrub/scrub.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::router {

/// The parts of the process that the router does not know.
struct service_values {
    net::server::stats connections{};
    std::vector<std::pair<std::string, pool::buffer_pool::stats>> pools = {};  ///< In addition to the store's.
};

class status_values {
  public:
    struct options {
        std::string cluster_id;
        std::string version;
    };
    /// All must outlive this.
    struct sources {
        store::block_store& store;
        const store::work_queue<protocol::pull_item>& pulls;
        const store::work_queue<protocol::trash_item>& trash;
        const store::scrubber* scrub;  ///< May be null.
        const limiter& requests_limiter;
        const request_table& requests;
        const router::health& health;
        std::function<service_values()> service;  ///< May be empty.
    };

    status_values(options, sources);

    /// Counts a request that is also counted in the metrics time_to_status_seconds.
    void count_request(const request_stats::ended_request& r) noexcept { stats_.count(r); }
    /// Requests with a status from 500 on.
    [[nodiscard]] recent_lines& failed_requests() noexcept { return failed_requests_; }

    /// Call every limits::status_sample_interval.
    void sample() { samples_.add(counters(volume_stats())); }

    [[nodiscard]] nlohmann::ordered_json gather() const;

  private:
    using json = nlohmann::ordered_json;

    /// Of each mount, in their order.
    [[nodiscard]] std::vector<volumes::volume_stats> volume_stats() const;
    [[nodiscard]] service_values service() const;
    [[nodiscard]] status_counters counters(const std::vector<volumes::volume_stats>&) const;
    [[nodiscard]] json service_part() const;
    [[nodiscard]] json requests_part(const status_counters& now, const status_counters& before) const;
    [[nodiscard]] json volumes_part(const std::vector<volumes::volume_stats>&, const status_counters& now,
                                    const status_counters& before) const;
    [[nodiscard]] json memory_part(const service_values&) const;
    [[nodiscard]] json scrubs_part() const;

    const options options_;
    const sources sources_;
    const std::string host_;
    const std::string instance_;  // Another one after a restart.
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    const std::chrono::steady_clock::time_point started_steady_ = std::chrono::steady_clock::now();
    request_stats stats_;
    rate_samples samples_;
    recent_lines failed_requests_;
};

}  // namespace keepstore::router
