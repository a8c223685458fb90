/// What the daemon asks of other servers: the HTTP clients for pull lists and for reads from other clusters, and those
/// who use them. Clients are apart by purpose, so that one does not use up the connections of the other.
#pragma once

#include "cluster_config/config.hpp"
#include "net/client/http_client.hpp"
#include "router/metrics.hpp"
#include "store/lists/pull_worker.hpp"
#include "store/remote/remote_reader.hpp"

#include <expected>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::daemon {

class outgoing {
  public:
    /// `store` must outlive it. \returns an error line for the start.
    [[nodiscard]] static std::expected<std::unique_ptr<outgoing>, std::string> make(
        const cluster_config::cluster_settings&, store::block_store& store);

    [[nodiscard]] store::pull_worker& pulls() noexcept { return pulls_; }
    /// How many times pulls().run() is wanted.
    [[nodiscard]] unsigned pull_workers() const noexcept { return pull_workers_; }
    [[nodiscard]] store::remote_reader& remote() noexcept { return remote_; }
    [[nodiscard]] std::vector<router::metrics::sample> samples() const;

    /// No new connections from now on. May be called more than once.
    void close() noexcept;

  private:
    outgoing(const cluster_config::cluster_settings&, store::block_store&, net::client for_pulls,
             net::client for_remote, net::client for_remote_insecure, store::pull_options);

    net::client pull_client_;
    net::client remote_client_;
    net::client insecure_client_;  ///< For clusters whose certificates are not verified.
    unsigned pull_workers_;
    store::pull_worker pulls_;
    store::remote_reader remote_;
};

}  // namespace keepstore::daemon
