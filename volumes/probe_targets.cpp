#include "volumes/probe_targets.hpp"

#include "volumes/factory.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

namespace keepstore::volumes {
namespace {

// Any port of the same address: the service's own is taken while it runs.
cluster_config::url with_any_port(cluster_config::url of) {
    const auto name = of.hostname();
    of.host = name.find(':') == std::string::npos ? name + ":0" : "[" + name + "]:0";
    return of;
}

bool has_access(const cluster_config::volume_config& volume, const cluster_config::url& service) {
    return volume.access_via_hosts.empty() || volume.access_via_hosts.contains(service);
}

struct choice {
    cluster_config::local_volume volume;
    bool mounted;
};

// The volume as it would be served, by the rules that hold at the start. nullopt: not by these services.
std::expected<std::optional<choice>, std::string> select_one(const cluster_config::cluster_settings& cluster,
                                                             const std::string& uuid,
                                                             const cluster_config::volume_config& volume,
                                                             std::span<const cluster_config::url> services,
                                                             bool named) {
    const auto service =
        std::ranges::find_if(services, [&](const cluster_config::url& u) { return has_access(volume, u); });
    const bool mounted = service != services.end();
    if (!mounted && !named) return std::nullopt;
    cluster_config::cluster_settings alone = cluster;
    alone.volumes = {{uuid, volume}};
    if (!mounted) alone.volumes.begin()->second.access_via_hosts.clear();
    auto selected = cluster_config::select_volumes(alone, mounted ? *service : cluster_config::url());
    if (!selected) return std::unexpected(std::move(selected.error()));
    return choice{std::move(selected->front()), mounted};
}

std::string s3_volumes_of(const cluster_config::cluster_settings& cluster) {
    std::vector<std::string_view> names;
    for (const auto& [uuid, volume] : cluster.volumes)
        if (volume.driver == "S3") names.push_back(uuid);
    if (names.empty()) return "the configuration has no S3 volumes";
    return fmt::format("the S3 volumes of the configuration are {}", fmt::join(names, ", "));
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
        const cluster_config::url& listen = instance.listen_url.host.empty() ? service : instance.listen_url;
        if (probe(with_any_port(listen))) out.push_back(service);
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
        auto chosen = select_one(cluster, uuid, volume, services, named);
        if (!chosen) return std::unexpected(std::move(chosen.error()));
        if (!*chosen) continue;
        const auto& v = (*chosen)->volume;
        const auto* const s3 = std::get_if<cluster_config::s3_parameters>(&v.parameters);
        if (!s3 && named)
            return std::unexpected(fmt::format("volume {} is no S3 volume (Driver: {})", uuid, volume.driver));
        if (!s3) continue;
        probe_target target{.uuid = uuid,
                            .options = make_s3_options(v, *s3, cluster.collections),
                            .writes = v.allow_write || v.allow_trash,
                            .notes = {}};
        if (!(*chosen)->mounted) target.notes.emplace_back("this host does not mount the volume (AccessViaHosts)");
        for (const auto& warning : conf.warnings)
            if (warning.find("Volumes." + uuid) != std::string::npos) target.notes.push_back(warning);
        out.push_back(std::move(target));
    }
    if (out.empty()) return std::unexpected("this host mounts no S3 volume; " + s3_volumes_of(cluster));
    return out;
}

probe_target probe_target_of_bucket(const cluster_config::s3_parameters& parameters) {
    cluster_config::local_volume v;
    v.allow_write = v.allow_trash = true;
    return {.uuid = {}, .options = make_s3_options(v, parameters, {}), .writes = true, .notes = {}};
}

}  // namespace keepstore::volumes
