#include "daemon/mounts.hpp"

#include "base/log.hpp"
#include "volumes/directory/directory_volume.hpp"

#include <fmt/format.h>

namespace keepstore::daemon {
namespace {

std::expected<std::unique_ptr<volumes::volume>, std::string> open_volume(const local_volume& v) {
    if (auto missing = missing_driver(v); !missing.empty()) return std::unexpected(std::move(missing));
    const auto& parameters = std::get<directory_parameters>(v.parameters);
    volumes::directory_options options;
    options.root = parameters.root;
    options.serialize = parameters.serialize;
    options.sync = parameters.sync;
    switch (parameters.direct) {
        case direct_io::automatic: options.direct = volumes::direct_io::automatic; break;
        case direct_io::on: options.direct = volumes::direct_io::on; break;
        case direct_io::off: options.direct = volumes::direct_io::off; break;
    }
    auto opened = volumes::open_directory_volume(std::move(options));
    if (!opened)
        return std::unexpected(fmt::format("Volumes.{}: cannot open Root {}: {}", v.uuid, parameters.root, opened.error().text));
    return std::move(*opened);
}

}  // namespace

std::expected<std::vector<core::mount>, std::string> open_mounts(const std::vector<local_volume>& volumes) {
    std::vector<core::mount> out;
    for (const local_volume& v : volumes) {
        auto opened = open_volume(v);
        if (!opened) return std::unexpected(std::move(opened.error()));
        core::mount m;
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
