#include "daemon/mounts.hpp"

#include "base/log.hpp"
#include "volumes/factory.hpp"

#include <fmt/format.h>

namespace keepstore::daemon {

std::expected<std::vector<store::mount>, std::string> open_mounts(
    const std::vector<cluster_config::local_volume>& volumes, const cluster_config::collections_config& policy) {
    std::vector<store::mount> out;
    for (const cluster_config::local_volume& v : volumes) {
        auto opened = volumes::open_volume(v, policy);
        if (!opened) return std::unexpected(std::move(opened.error()));
        store::mount m;
        m.uuid = v.uuid;
        m.volume = std::move(*opened);
        m.allow_write = v.allow_write;
        m.allow_trash = v.allow_trash;
        m.replication = static_cast<int>(v.replication);
        m.storage_classes = v.storage_classes;
        m.priority = static_cast<int>(v.priority);
        log::info(fmt::format("started volume {} ({}), AllowWrite={}, AllowTrash={}", m.uuid, m.volume->device_id(),
                              m.allow_write, m.allow_trash));
        out.push_back(std::move(m));
    }
    return out;
}

}  // namespace keepstore::daemon
