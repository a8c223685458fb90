/// The HTTP clients for pull lists and for reads from other clusters, with the pull worker and the remote reader that
/// use them. Each purpose has a client of its own, so that one cannot use up the connections of the other.
#pragma once

#include "cluster_config/config.hpp"
#include "net/client/http_client.hpp"
#include "reports/start_plan.hpp"
#include "router/metrics.hpp"
#include "store/lists/pull_worker.hpp"
#include "store/remote/remote_reader.hpp"

#include <string>
#include <vector>

namespace keepstore::daemon {

class peer_clients {
  public:
    /// Takes the clients of `plan`, which has no problems. `store` must outlive this.
    peer_clients(const cluster_config::cluster_settings&, reports::start_plan& plan, store::block_store& store);

    [[nodiscard]] store::pull_worker& pulls() noexcept { return pulls_; }
    /// Number of tasks pulls().run() to start.
    [[nodiscard]] unsigned pull_workers() const noexcept { return pull_workers_; }
    [[nodiscard]] store::remote_reader& remote() noexcept { return remote_; }
    [[nodiscard]] std::vector<router::metrics::sample> samples() const;

    /// Refuses new connections from now on. May be called more than once.
    void close() noexcept;

  private:
    net::client pull_client_;
    net::client remote_client_;
    net::client insecure_client_;  ///< For clusters whose certificates are not verified.
    unsigned pull_workers_;
    store::pull_worker pulls_;
    store::remote_reader remote_;
};

}  // namespace keepstore::daemon
