#include "volumes/factory.hpp"

#include "volumes/directory/directory_volume.hpp"

#include <fmt/format.h>

#include <chrono>

namespace keepstore::volumes {
namespace {

opened_volume open_directory(const cluster_config::local_volume& v,
                             const cluster_config::directory_parameters& parameters) {
    directory_options options;
    options.root = parameters.root;
    options.serialize = parameters.serialize;
    options.sync = parameters.sync;
    switch (parameters.direct) {
        case cluster_config::direct_io::automatic:
            options.direct = direct_io::automatic;
            break;
        case cluster_config::direct_io::on:
            options.direct = direct_io::on;
            break;
        case cluster_config::direct_io::off:
            options.direct = direct_io::off;
            break;
    }
    auto opened = open_directory_volume(std::move(options));
    if (!opened)
        return std::unexpected(
            fmt::format("Volumes.{}: cannot open Root {}: {}", v.uuid, parameters.root, opened.error().text));
    return std::move(*opened);
}

opened_volume open_s3(const cluster_config::local_volume& v, const cluster_config::s3_parameters& parameters,
                      const cluster_config::collections_config& policy) {
    auto opened = open_s3_volume(make_s3_options(v, parameters, policy));
    if (!opened)
        return std::unexpected(
            fmt::format("Volumes.{}: cannot use Bucket {}: {}", v.uuid, parameters.bucket, opened.error().text));
    return std::move(*opened);
}

}  // namespace

s3_options make_s3_options(const cluster_config::local_volume& v, const cluster_config::s3_parameters& parameters,
                           const cluster_config::collections_config& policy) {
    const auto milliseconds = [](std::chrono::nanoseconds t) {
        return std::chrono::ceil<std::chrono::milliseconds>(t);
    };
    s3_options options;
    options.access_key_id = parameters.access_key_id;
    options.secret_access_key = keepstore::s3::secret_string(parameters.secret_access_key);
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
    options.diagnosis = fmt::format("keepstore probe-s3 -volume {}", v.uuid);
    return options;
}

opened_volume open_volume(const cluster_config::local_volume& v, const cluster_config::collections_config& policy) {
    if (const auto* directory = std::get_if<cluster_config::directory_parameters>(&v.parameters))
        return open_directory(v, *directory);
    return open_s3(v, std::get<cluster_config::s3_parameters>(v.parameters), policy);
}

}  // namespace keepstore::volumes
