#include "cluster_config/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::cluster_config {

local_volume serve_volume(const cluster_settings& cluster, const std::string& uuid, const volume_config& volume,
                          bool host_read_only) {
    local_volume out{.uuid = uuid,
                     .allow_write = !host_read_only && !volume.read_only,
                     .allow_trash = !host_read_only && (!volume.read_only || volume.allow_trash_when_read_only),
                     .replication = volume.replication,
                     .storage_classes = volume.storage_classes,
                     .driver = volume.driver};
    for (const auto& [name, value] : volume.storage_classes)
        if (const auto found = cluster.storage_classes.find(name); value && found != cluster.storage_classes.end())
            out.priority = std::max(out.priority, found->second.priority);
    return out;
}

std::expected<std::vector<local_volume>, std::string> select_volumes(const cluster_settings& cluster,
                                                                     const url& service_url) {
    if (cluster.volumes.empty()) return std::unexpected("no volumes configured");
    std::vector<local_volume> out;
    for (const auto& [uuid, volume] : cluster.volumes) {
        const auto access = volume.access_via_hosts.find(service_url);
        const bool listed = access != volume.access_via_hosts.end();
        if (!listed && !volume.access_via_hosts.empty()) continue;
        out.push_back(serve_volume(cluster, uuid, volume, listed && access->second));
    }
    if (out.empty()) return std::unexpected(fmt::format("no volumes configured for {}", service_url.to_string()));
    return out;
}

}  // namespace keepstore::cluster_config
