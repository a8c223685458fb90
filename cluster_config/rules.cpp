#include "cluster_config/rules.hpp"

#include "cluster_config/config.hpp"
#include "cluster_config/limits.hpp"
#include "cluster_config/scalars.hpp"
#include "protocol/host_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace keepstore::cluster_config {
namespace {

constexpr std::string_view service_path = "Services.Keepstore.InternalURLs";

void check_tokens(const config_reader& in, const cluster_settings& cluster) {
    if (cluster.system_root_token.empty())
        in.warn("SystemRootToken", "secret token is not set: the admin API is closed");
    if (cluster.management_token.empty()) in.warn("ManagementToken", "secret token is not set: /metrics is open");
}

void check_api(const config_reader& in, const api_config& api) {
    if (api.requests_max > 0 && api.requests_max < api.blob_buffers_max)
        in.warn("MaxConcurrentRequests",
                fmt::format("{} is less than MaxKeepBlobBuffers ({}), so not all buffers can be in use",
                            api.requests_max, api.blob_buffers_max));
}

void check_signing_key(const config_reader& in, const collections_config& collections) {
    if (!collections.blob_signing_key.empty()) return;
    if (collections.blob_signing)
        in.fail("BlobSigningKey",
                "missing while BlobSigning is true; expected the cluster's signing key here, or in the credential "
                "BlobSigningKey (LoadCredential=)");
    in.warn("BlobSigningKey", "secret token is not set: locators are handed out unsigned");
}

void check_signing_ttl(const config_reader& in, const collections_config& collections) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch();
    const auto longest = std::chrono::seconds(limits::signature_expiry_max) - now;
    if (collections.blob_signing_ttl <= longest) return;
    in.fail("BlobSigningTTL",
            fmt::format("found {}, until after 2106-02-07 06:28:15 UTC, which a signature cannot express; expected at "
                        "most {} today",
                        format_duration(collections.blob_signing_ttl), format_duration(longest)));
}

void check_pull_hosts(const config_reader& in, const keepstore_config& ours) {
    std::vector<std::string> hosts = ours.pull_hosts;
    std::erase(hosts, internal_urls_name);
    if (const auto parsed = protocol::host_rules::parse(hosts); !parsed)
        in.fail("PullHosts", "found " + parsed.error().text + ", or the word InternalURLs");
}

void check_remote_clusters(const config_reader& in, const cluster_settings& cluster) {
    for (const auto& [id, remote] : cluster.remote_clusters)
        if (id != "*" && !is_cluster_id(id))
            in.fail(id, fmt::format("found the id \"{}\"; expected five lower-case letters and digits", id));
}

/// docs/interface.md 1.7: if the file mentions no classes everything is in "default"; else all of them must be spelt
/// out.
void apply_class_rules(const config_reader& in, cluster_settings& cluster) {
    const bool mentioned =
        std::ranges::any_of(cluster.volumes, [](const auto& volume) { return !volume.second.storage_classes.empty(); });
    if (cluster.storage_classes.empty() && !mentioned) {
        cluster.storage_classes["default"] = {.priority = 0, .is_default = true};
        for (auto& [uuid, volume] : cluster.volumes) volume.storage_classes["default"] = true;
    }
    const config_reader volumes = in.section("Volumes");
    for (const auto& [uuid, volume] : cluster.volumes) {
        if (volume.storage_classes.empty())
            volumes.fail(uuid,
                         "volume has no StorageClasses listed; expected at least one, because other parts of the "
                         "configuration mention storage classes");
        for (const auto& [name, value] : volume.storage_classes)
            if (!cluster.storage_classes.contains(name))
                volumes.fail(uuid, fmt::format("volume refers to storage class \"{}\" that is not defined in "
                                               "StorageClasses",
                                               name));
    }
    if (std::ranges::none_of(cluster.storage_classes, [](const auto& c) { return c.second.is_default; }))
        in.fail("StorageClasses", "there is no default storage class; expected Default: true in at least one entry");
}

void warn_about_services(const config_reader& in, const cluster_settings& cluster) {
    for (const auto& [service, instance] : cluster.internal_urls) {
        const bool served = std::ranges::any_of(cluster.volumes, [&](const auto& volume) {
            return volume.second.access_via_hosts.empty() || volume.second.access_via_hosts.contains(service);
        });
        if (!served)
            in.warn(service_path,
                    fmt::format("the keepstore at {} has no volume that it may access", service.to_string()));
    }
    for (const auto& [uuid, volume] : cluster.volumes)
        for (const auto& [host, read_only] : volume.access_via_hosts)
            if (!cluster.internal_urls.contains(host))
                in.section("Volumes").section(uuid).warn(
                    "AccessViaHosts", fmt::format("{} is not listed in {}", host.to_string(), service_path));
}

void warn_about_unused_classes(const config_reader& in, const cluster_settings& cluster) {
    for (const auto& [name, value] : cluster.storage_classes) {
        const bool used = std::ranges::any_of(
            cluster.volumes, [&](const auto& volume) { return volume.second.storage_classes.contains(name); });
        if (!used && !cluster.volumes.empty())
            in.section("StorageClasses").warn(name, "there are no volumes of this storage class");
    }
}

void warn_about_local_buffers(const config_reader& in, const cluster_settings& cluster) {
    const auto buffers = cluster.containers.local_keep_blob_buffers_per_vcpu;
    if (buffers <= 0) return;
    for (const auto& [uuid, volume] : cluster.volumes) {
        std::string why;
        if (!volume.access_via_hosts.empty())
            why = "uses AccessViaHosts";
        else if (!volume.read_only && volume.replication < cluster.collections.default_replication)
            why = fmt::format("has lower replication than DefaultReplication ({} < {})", volume.replication,
                              cluster.collections.default_replication);
        if (why.empty()) continue;
        in.warn(fmt::format("{} is {} but will not be used because at least one volume ({}) {}; suggest changing to 0",
                            in.path("Containers.LocalKeepBlobBuffersPerVCPU"), buffers, uuid, why));
        return;
    }
}

}  // namespace

void apply_rules(const config_reader& in, cluster_settings& out) {
    check_tokens(in, out);
    check_api(in.section("API"), out.api);
    check_signing_key(in.section("Collections"), out.collections);
    check_signing_ttl(in.section("Collections"), out.collections);
    check_pull_hosts(in.section("Keepstore"), out.keepstore);
    apply_class_rules(in, out);
    check_remote_clusters(in.section("RemoteClusters"), out);
    warn_about_services(in, out);
    warn_about_unused_classes(in, out);
    warn_about_local_buffers(in, out);
}

}  // namespace keepstore::cluster_config
