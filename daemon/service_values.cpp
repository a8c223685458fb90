#include "daemon/service_values.hpp"

namespace keepstore::daemon {

router::service_values service_values(const net::server& server, const digest::engine& digest,
                                      const peer_clients& peers) {
    const auto s = server.snapshot();
    const auto d = digest.snapshot();
    return {.connections_open = s.connections_open,
            .connections_idle = s.connections_idle,
            .connections_max = s.connections_max,
            .digest_target = std::string(digest.target()),
            .digest_lanes_max = digest.lanes(),
            .digest_bytes = d.bytes_total,
            .digest_single_bytes = d.bytes_single_total,
            .digest_passes = d.passes_total,
            .digest_lanes = d.lanes_used_total,
            .pools = {{"pull", peers.pull_memory()}}};
}

}  // namespace keepstore::daemon
