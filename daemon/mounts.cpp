#include "daemon/mounts.hpp"

#include "base/log.hpp"
#include "volumes/directory/directory_volume.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <fmt/format.h>

#include <chrono>

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
    const auto milliseconds = [](nanoseconds t) { return std::chrono::ceil<std::chrono::milliseconds>(t); };
    volumes::s3_options options;
    options.access_key_id = parameters.access_key_id;
    options.secret_access_key = s3::secret_string(parameters.secret_access_key);
    options.endpoint = parameters.endpoint;
    options.region = parameters.region;
    options.bucket = parameters.bucket;
    options.use_path_style = parameters.use_path_style;
    options.prefix_length = static_cast<std::size_t>(parameters.prefix_length);
    options.index_page_size = static_cast<unsigned>(parameters.index_page_size);
    options.connect_timeout = milliseconds(parameters.connect_timeout);
    options.read_timeout = milliseconds(parameters.read_timeout);
    options.race_window = parameters.race_window;
    options.unsafe_delete = parameters.unsafe_delete;
    options.protect_for = policy.blob_signing_ttl;
    options.trash_lifetime = policy.blob_trash_lifetime;
    options.writable = v.allow_write;
    auto opened = volumes::open_s3_volume(std::move(options));
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
