#include "daemon/mounts.hpp"

#include "base/log.hpp"

#include <fmt/format.h>

namespace keepstore::daemon {

std::expected<std::vector<store::mount>, std::string> open_mounts(const std::vector<volumes::volume_plan>& plans,
                                                                  signals& process_signals) {
    std::vector<store::mount> out;
    for (const auto& plan : plans) {
        process_signals.starting(fmt::format("opening volume {}", plan.volume.uuid));
        KS_TRY(auto opened, plan.open());
        const auto& v = plan.volume;
        store::mount m;
        m.uuid = v.uuid;
        m.volume = std::move(opened);
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
