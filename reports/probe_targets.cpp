#include "reports/probe_targets.hpp"

#include "base/join.hpp"
#include "volumes/azure/driver.hpp"
#include "volumes/factory.hpp"
#include "volumes/s3/driver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace keepstore::reports {
namespace {

// Any port of the same address: the service's own is taken while it runs.
cluster_config::url with_any_port(cluster_config::url of) {
    const auto name = of.hostname();
    of.host = name.find(':') == std::string::npos ? name + ":0" : "[" + name + "]:0";
    return of;
}

bool is_s3(const cluster_config::volume_config& volume) {
    return volume.driver.driver == volumes::s3_driver.name;
}

bool has_access(const cluster_config::volume_config& volume, const cluster_config::url& service) {
    return volume.access_via_hosts.empty() || volume.access_via_hosts.contains(service);
}

/// Where the keys of a volume that has some are; a secret in a file may belong to an id in the configuration.
std::string origin_of_keys(const cluster_config::config& conf, const std::string& uuid) {
    for (const std::string_view key : {"SecretAccessKey", "SecretKey"}) {
        const auto name = fmt::format("Volumes.{}.{}", uuid, key);
        const auto found = std::ranges::find(conf.secrets, name, &cluster_config::secret_origin::key);
        if (found != conf.secrets.end()) return found->origin;
    }
    return "configuration";
}

std::string s3_volumes_of(const cluster_config::cluster_settings& cluster) {
    std::vector<std::string_view> names;
    for (const auto& [uuid, volume] : cluster.volumes)
        if (is_s3(volume)) names.push_back(uuid);
    if (names.empty()) return "the configuration has no S3 volumes";
    return "the S3 volumes of the configuration are " + join(names, ", ");
}

// What the configuration says about the volume.
std::vector<std::string> notes_on(const cluster_config::config& conf, const std::string& uuid) {
    std::vector<std::string> warnings = conf.warnings;
    std::ranges::move(volumes::parameter_warnings(conf.cluster), std::back_inserter(warnings));
    std::erase_if(warnings, [&](const std::string& text) { return text.find("Volumes." + uuid) == std::string::npos; });
    return warnings;
}

}  // namespace

std::vector<cluster_config::url> services_of_this_host(const cluster_config::cluster_settings& cluster,
                                                       const cluster_config::environment& env,
                                                       const cluster_config::bind_probe& probe) {
    if (!env.service_internal_url.empty()) {
        auto given = cluster_config::parse_url(env.service_internal_url);
        if (given) return {std::move(*given)};
    }
    std::vector<cluster_config::url> out;
    for (const auto& [service, instance] : cluster.internal_urls) {
        if (probe(with_any_port(instance.listens_on(service)))) out.push_back(service);
    }
    return out;
}

std::expected<std::vector<probe_target>, std::string> choose_probe_targets(
    const cluster_config::config& conf, std::span<const cluster_config::url> services,
    std::span<const std::string> uuids) {
    const cluster_config::cluster_settings& cluster = conf.cluster;
    for (const auto& uuid : uuids) {
        if (!cluster.volumes.contains(uuid))
            return std::unexpected(fmt::format("there is no volume {}; {}", uuid, s3_volumes_of(cluster)));
    }
    if (uuids.empty() && services.empty()) {
        return std::unexpected(
            fmt::format("no InternalURLs of the configuration has an address of this host: name volumes "
                        "with -volume, or say which host is meant with ARVADOS_SERVICE_INTERNAL_URL; {}",
                        s3_volumes_of(cluster)));
    }
    std::vector<probe_target> out;
    for (const auto& [uuid, volume] : cluster.volumes) {
        const bool named = std::ranges::find(uuids, uuid) != uuids.end();
        if (!uuids.empty() && !named) continue;
        if (!is_s3(volume)) {
            if (!named) continue;
            return std::unexpected(fmt::format("volume {} is no S3 volume (Driver: {})", uuid, volume.driver.driver));
        }
        const auto service =
            std::ranges::find_if(services, [&](const cluster_config::url& u) { return has_access(volume, u); });
        const bool mounted = service != services.end();
        if (!mounted && !named) continue;
        const bool read_only_here = mounted && !volume.access_via_hosts.empty() && volume.access_via_hosts.at(*service);
        const auto v = cluster_config::serve_volume(cluster, uuid, volume, read_only_here);
        KS_TRY(auto options, volumes::s3_options_of(v, cluster.collections));
        options.keys_origin = origin_of_keys(conf, uuid);
        probe_target target{
            .uuid = uuid, .options = std::move(options), .writes = v.allow_write || v.allow_trash, .notes = {}};
        if (!mounted) target.notes.emplace_back("this host does not mount the volume (AccessViaHosts)");
        std::ranges::move(notes_on(conf, uuid), std::back_inserter(target.notes));
        out.push_back(std::move(target));
    }
    if (out.empty()) return std::unexpected("this host mounts no S3 volume; " + s3_volumes_of(cluster));
    return out;
}

probe_target probe_target_of_bucket(volumes::s3_options options) {
    return {.uuid = {}, .options = std::move(options), .writes = true, .notes = {}};
}

std::optional<std::expected<container_target, std::string>> find_container(const cluster_config::config& conf,
                                                                           const std::string& uuid) {
    const auto found = conf.cluster.volumes.find(uuid);
    if (found == conf.cluster.volumes.end() || found->second.driver.driver != volumes::azure_driver.name)
        return std::nullopt;
    const auto v = cluster_config::serve_volume(conf.cluster, uuid, found->second, false);
    KS_TRY(auto options, volumes::azure_options_of(v, conf.cluster.collections));
    return container_target{
        .options = std::move(options), .writes = v.allow_write || v.allow_trash, .notes = notes_on(conf, uuid)};
}

}  // namespace keepstore::reports
