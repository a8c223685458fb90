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
        const auto& m = out.emplace_back(store::mount{.uuid = v.uuid,
                                                      .volume = std::move(opened),
                                                      .allow_write = v.allow_write,
                                                      .allow_trash = v.allow_trash,
                                                      .replication = static_cast<int>(v.replication),
                                                      .storage_classes = v.storage_classes,
                                                      .priority = static_cast<int>(v.priority)});
        log::info(fmt::format("started volume {} ({}), AllowWrite={}, AllowTrash={}", m.uuid, m.volume->device_id(),
                              m.allow_write, m.allow_trash));
    }
    return out;
}

}  // namespace keepstore::daemon
