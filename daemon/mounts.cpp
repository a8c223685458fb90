#include "daemon/mounts.hpp"

#include "base/log.hpp"
#include "volumes/factory.hpp"
#include "volumes/directory/directory_volume.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <fmt/format.h>

namespace keepstore::daemon {
namespace {

using opened_volume = std::expected<std::unique_ptr<volumes::volume>, std::string>;

opened_volume open_directory(const local_volume& v, const directory_parameters& parameters) {
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

opened_volume open_s3(const local_volume& v, const s3_parameters& parameters, const collections_config& policy) {
    auto opened = volumes::open_s3_volume(make_s3_options(v, parameters, policy));
    if (!opened)
        return std::unexpected(fmt::format("Volumes.{}: cannot use Bucket {}: {}", v.uuid, parameters.bucket, opened.error().text));
    return std::move(*opened);
}

opened_volume open_volume(const local_volume& v, const collections_config& policy) {
    if (const auto* directory = std::get_if<directory_parameters>(&v.parameters)) return open_directory(v, *directory);
    return open_s3(v, std::get<s3_parameters>(v.parameters), policy);
}

}  // namespace

std::expected<std::vector<core::mount>, std::string> open_mounts(const std::vector<local_volume>& volumes,
                                                                   const collections_config& policy) {
    std::vector<core::mount> out;
    for (const local_volume& v : volumes) {
        auto opened = open_volume(v, policy);
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
