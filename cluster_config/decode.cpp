#include "cluster_config/decode.hpp"

#include "base/limits.hpp"
#include "cluster_config/error.hpp"
#include "cluster_config/scalars.hpp"
#include "protocol/host_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace keepstore::cluster_config {
namespace {

using kind = config_value::kind;

constexpr std::string_view service_path = "Services.Keepstore.InternalURLs";

void require(bool right, const config_reader& in, std::string_view key, std::string_view text) {
    if (!right) in.fail(key, text);
}

void read_token(const config_reader& in, std::string_view key, std::string& out) {
    in.read(key, out);
    if (out.empty()) return;
    require(is_alphanumeric(out), in, key,
            "found other characters than letters and digits; expected only letters and digits");
    if (out.size() < 32) in.warn(key, "token is too short (should be at least 32 alphanumeric characters)");
}

void decode_api(const config_reader& in, api_config& out) {
    in.read("MaxConcurrentRequests", out.requests_max);
    in.read("MaxQueuedRequests", out.queued_requests_max);
    in.read("MaxGatewayTunnels", out.gateway_tunnels_max);
    in.read("MaxQueueTimeForLockRequests", out.lock_requests_queue_time_max);
    in.read("MaxKeepBlobBuffers", out.blob_buffers_max);
    in.read("RequestTimeout", out.request_timeout);
    require(out.blob_buffers_max >= 1 && out.blob_buffers_max <= limits::blob_buffers_max, in, "MaxKeepBlobBuffers",
            fmt::format("found {}; expected 1 to {} (buffers of 64 MiB; 0 is not \"no limit\")", out.blob_buffers_max,
                        limits::blob_buffers_max));
    out.requests_max = std::max<std::int64_t>(out.requests_max, 0);
    out.queued_requests_max = std::max<std::int64_t>(out.queued_requests_max, 0);
    out.gateway_tunnels_max = std::max<std::int64_t>(out.gateway_tunnels_max, 0);
    out.request_timeout = std::max(out.request_timeout, nanoseconds::zero());
    if (out.requests_max > 0 && out.requests_max < out.blob_buffers_max)
        in.warn("MaxConcurrentRequests",
                fmt::format("{} is less than MaxKeepBlobBuffers ({}), so not all buffers can be in use",
                            out.requests_max, out.blob_buffers_max));
}

void decode_collections(const config_reader& in, collections_config& out) {
    in.read("BlobSigning", out.blob_signing);
    read_token(in, "BlobSigningKey", out.blob_signing_key);
    in.read("BlobSigningTTL", out.blob_signing_ttl);
    in.read("BlobTrash", out.blob_trash);
    in.read("BlobTrashLifetime", out.blob_trash_lifetime);
    in.read("BlobTrashCheckInterval", out.blob_trash_check_interval);
    in.read("BlobTrashConcurrency", out.blob_trash_concurrency);
    in.read("BlobDeleteConcurrency", out.blob_delete_concurrency);
    in.read("BlobReplicateConcurrency", out.blob_replicate_concurrency);
    in.read("DefaultReplication", out.default_replication);
    out.blob_replicate_concurrency = std::max<std::int64_t>(out.blob_replicate_concurrency, 1);
    if (out.blob_signing_key.empty()) {
        require(!out.blob_signing, in, "BlobSigningKey",
                "missing while BlobSigning is true; expected the cluster's signing key");
        in.warn("BlobSigningKey", "secret token is not set: locators are handed out unsigned");
    }
    // Blocks younger than the TTL are protected from trash: a negative one would protect nothing.
    require(out.blob_signing_ttl >= nanoseconds::zero(), in, "BlobSigningTTL",
            "found a negative duration; expected 0 or more");
    require(out.blob_trash_lifetime >= nanoseconds::zero(), in, "BlobTrashLifetime",
            "found a negative duration; expected 0 (delete at once) or more");
}

/// logrus' names, in any letter case; empty means the default.
std::optional<log::level> parse_level(std::string name) {
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    if (name == "trace") return log::level::trace;
    if (name == "debug") return log::level::debug;
    if (name == "info") return log::level::info;
    if (name == "warn" || name == "warning") return log::level::warning;
    if (name == "error") return log::level::error;
    if (name == "fatal") return log::level::fatal;
    if (name == "panic") return log::level::panic;
    return std::nullopt;
}

void decode_logs(const config_reader& in, system_logs_config& out) {
    std::string level = "info";
    std::string format = "json";
    in.read("LogLevel", level);
    in.read("Format", format);
    in.read("RequestQueueDumpDirectory", out.request_queue_dump_directory);
    const auto parsed = parse_level(level);
    require(parsed.has_value(), in, "LogLevel",
            fmt::format("found \"{}\" (unknown log level); expected panic, fatal, error, warn, "
                        "info, debug or trace",
                        level));
    out.level = *parsed;
    if (format == "json")
        out.format = log_shape::json;
    else if (format == "text")
        out.format = log_shape::text;
    else if (format == "plain")
        out.format = log_shape::plain;
    else
        in.fail("Format", fmt::format("found \"{}\" (unknown log format); expected json or text", format));
}

void decode_tls(const config_reader& in, tls_config& out) {
    in.read("Certificate", out.certificate);
    in.read("Key", out.key);
    in.read("Insecure", out.insecure);
    in.section("ACME").read("Server", out.acme_server);
    for (std::string* path : {&out.certificate, &out.key})
        if (path->starts_with("file://")) path->erase(0, 7);
}

void decode_keepstore(const config_reader& in, keepstore_config& out) {
    std::int64_t version = 1;
    in.read("Version", version);
    require(version == 1, in, "Version",
            fmt::format("found {}; expected 1, the only version of this section", version));
    in.read_size("MinTransferRate", out.min_transfer_rate);
    in.read("MinTransferRatePeriod", out.min_transfer_rate_period);
    in.read("HeaderTimeout", out.header_timeout);
    in.read("IdleTimeout", out.idle_timeout);
    in.read("DrainTimeout", out.drain_timeout);
    in.read("MaxConnections", out.connections_max);
    in.read("ListenBacklog", out.listen_backlog);
    in.read("Threads", out.threads);
    in.read("EmptyTrashStartDelay", out.empty_trash_start_delay);
    in.read("ScrubInterval", out.scrub_interval);
    in.read_size("ScrubRate", out.scrub_rate);
    in.read_names("PullHosts", out.pull_hosts);
    std::vector<std::string> hosts = out.pull_hosts;
    std::erase(hosts, internal_urls_name);
    if (const auto parsed = protocol::host_rules::parse(hosts); !parsed)
        in.fail("PullHosts", "found " + parsed.error().text + ", or the word InternalURLs");
    constexpr nanoseconds second = std::chrono::seconds(1);
    require(out.min_transfer_rate_period >= second, in, "MinTransferRatePeriod",
            "found less than 1s; expected 1s or more");
    require(out.header_timeout >= second, in, "HeaderTimeout", "found less than 1s; expected 1s or more");
    require(out.idle_timeout >= second, in, "IdleTimeout", "found less than 1s; expected 1s or more");
    require(out.drain_timeout >= nanoseconds::zero(), in, "DrainTimeout",
            "found a negative duration; expected 0 or more");
    require(out.empty_trash_start_delay >= nanoseconds::zero(), in, "EmptyTrashStartDelay",
            "found a negative duration; expected 0 or more");
    require(out.scrub_interval >= nanoseconds::zero(), in, "ScrubInterval",
            "found a negative duration; expected 0 (only when asked) or more");
    require(out.connections_max >= 0, in, "MaxConnections", "found a negative number; expected 0 (no limit) or more");
    require(out.listen_backlog >= 1 && out.listen_backlog <= 65535, in, "ListenBacklog",
            fmt::format("found {}; expected 1 to 65535", out.listen_backlog));
    require(out.threads >= 0 && out.threads <= 1024, in, "Threads",
            fmt::format("found {}; expected 0 (one per CPU) to 1024", out.threads));
}

url key_url(const std::string& key, const std::string& path, int line, const config_context& context) {
    const auto parsed = parse_url(key);
    if (!parsed)
        context.fail_text(path, line,
                          fmt::format("found a key that is no URL ({}); expected one such as "
                                      "http://host.example:25107",
                                      parsed.error()));
    return *parsed;
}

volume_config decode_volume(const config_reader& in, const std::string& path, config_context& context) {
    volume_config out;
    in.read("ReadOnly", out.read_only);
    in.read("AllowTrashWhenReadOnly", out.allow_trash_when_read_only);
    in.read("Replication", out.replication);
    in.read("Driver", out.driver);
    out.replication = std::max<std::int64_t>(out.replication, 1);
    if (const auto* hosts = in.find("AccessViaHosts")) {
        for (const auto& [key, access] : hosts->entries) {
            bool read_only = false;
            config_reader(&access, in.path("AccessViaHosts") + "." + key, context).read("ReadOnly", read_only);
            out.access_via_hosts[key_url(key, in.path("AccessViaHosts") + "." + key, access.line, context)] = read_only;
        }
    }
    if (const auto* classes = in.find("StorageClasses"))
        for (const auto& [name, value] : classes->entries) out.storage_classes[name] = value.boolean;
    out.parameters = decode_driver(out.driver, in.find("DriverParameters"), path, context);
    return out;
}

/// docs/interface.md 1.7: either nobody mentions classes and everything is "default", or all of them are
/// spelt out.
void apply_class_rules(cluster_settings& cluster, const std::string& path, const config_context& context) {
    const bool mentioned =
        std::ranges::any_of(cluster.volumes, [](const auto& volume) { return !volume.second.storage_classes.empty(); });
    if (cluster.storage_classes.empty() && !mentioned) {
        cluster.storage_classes["default"] = {.priority = 0, .is_default = true};
        for (auto& [uuid, volume] : cluster.volumes) volume.storage_classes["default"] = true;
    }
    for (const auto& [uuid, volume] : cluster.volumes) {
        const std::string volume_path = fmt::format("{}.Volumes.{}", path, uuid);
        if (volume.storage_classes.empty())
            context.fail_text(volume_path, 0,
                              "volume has no StorageClasses listed; expected at least one, because "
                              "other parts of the "
                              "configuration mention storage classes");
        for (const auto& [name, value] : volume.storage_classes)
            if (!cluster.storage_classes.contains(name))
                context.fail_text(volume_path, 0,
                                  fmt::format("volume refers to storage class \"{}\" that is not defined "
                                              "in StorageClasses",
                                              name));
    }
    if (std::ranges::none_of(cluster.storage_classes, [](const auto& c) { return c.second.is_default; }))
        context.fail_text(path + ".StorageClasses", 0,
                          "there is no default storage class; expected Default: true in at least one entry");
}

}  // namespace

void config_reader::read(std::string_view key, std::string& out) const {
    const auto* value = find(key);
    if (!value) return;
    if (value->type != kind::text)
        context_.fail(path(key), *value,
                      value->is_map() || value->type == kind::list ? "a text" : "a text (put it in quotes)");
    out = value->text;
}

void config_reader::read_names(std::string_view key, std::vector<std::string>& out) const {
    const auto* value = find(key);
    if (!value) return;
    out.clear();
    for (const auto& [name, entry] : value->entries) out.push_back(name);
    for (const auto& item : value->items) out.push_back(item.text);
}

void config_reader::read(std::string_view key, bool& out) const {
    const auto* value = find(key);
    if (!value) return;
    if (value->type != kind::boolean) context_.fail(path(key), *value, "true or false, without quotes");
    out = value->boolean;
}

void config_reader::read(std::string_view key, std::int64_t& out) const {
    const auto* value = find(key);
    if (!value) return;
    if (value->type == kind::integer) {
        out = value->integer;
    } else if (value->type == kind::real && value->real > -9.2e18 && value->real < 9.2e18 &&
               value->real == static_cast<double>(static_cast<std::int64_t>(value->real))) {
        out = static_cast<std::int64_t>(value->real);
    } else {
        context_.fail(path(key), *value, "a whole number, without quotes");
    }
}

void config_reader::read(std::string_view key, nanoseconds& out) const {
    const auto* value = find(key);
    if (!value) return;
    const bool zero = value->type == kind::integer && value->integer == 0;
    const auto parsed = value->type == kind::text ? parse_duration(value->text) : std::nullopt;
    if (!zero && !parsed) context_.fail(path(key), *value, "a duration with its unit, such as 5m, 1h30m or 336h");
    out = parsed.value_or(nanoseconds::zero());
}

void config_reader::read(std::string_view key, url& out) const {
    std::string text;
    read(key, text);
    if (text.empty()) return;
    if (auto parsed = parse_url(text)) out = std::move(*parsed);
}

void config_reader::read_size(std::string_view key, std::uint64_t& out) const {
    const auto* value = find(key);
    if (!value) return;
    std::optional<std::uint64_t> bytes;
    if (value->type == kind::text)
        bytes = parse_byte_size(value->text);
    else if (value->type == kind::integer && value->integer >= 0)
        bytes = static_cast<std::uint64_t>(value->integer);
    else if (value->type == kind::real && value->real >= 0 && value->real < 9.2e18)
        bytes = static_cast<std::uint64_t>(value->real);
    if (!bytes) context_.fail(path(key), *value, "a size such as 16KiB, or 0");
    out = *bytes;
}

void config_reader::fail(std::string_view key, std::string_view text) const {
    const auto* value = find(key);
    context_.fail_text(path(key), value ? value->line : 0, text);
}

void config_reader::warn(std::string_view key, std::string_view text) const {
    context_.warnings.push_back(fmt::format("{}: {}", path(key), text));
}

cluster_settings decode_cluster(const config_value& section, const std::string& id, config_context& context) {
    const std::string path = "Clusters." + id;
    const config_reader in(&section, path, context);
    cluster_settings out;
    out.id = id;
    read_token(in, "SystemRootToken", out.system_root_token);
    read_token(in, "ManagementToken", out.management_token);
    if (out.system_root_token.empty()) in.warn("SystemRootToken", "secret token is not set: the admin API is closed");
    if (out.management_token.empty())
        in.warn("ManagementToken", "secret token is not set: /metrics is open to everybody");

    const auto service = in.section("Services").section("Keepstore");
    if (const auto* urls = service.find("InternalURLs")) {
        for (const auto& [key, entry] : urls->entries) {
            const std::string url_path = service.path("InternalURLs") + "." + key;
            const config_reader instance(&entry, url_path, context);
            service_instance& target = out.internal_urls[key_url(key, url_path, entry.line, context)];
            instance.read("ListenURL", target.listen_url);
            instance.read("Rendezvous", target.rendezvous);
        }
    }
    in.section("Services").section("Controller").read("ExternalURL", out.controller_url);

    decode_api(in.section("API"), out.api);
    decode_collections(in.section("Collections"), out.collections);
    decode_logs(in.section("SystemLogs"), out.logs);
    decode_tls(in.section("TLS"), out.tls);
    decode_keepstore(in.section("Keepstore"), out.keepstore);

    if (const auto* classes = in.find("StorageClasses")) {
        for (const auto& [name, entry] : classes->entries) {
            const config_reader reader(&entry, in.path("StorageClasses") + "." + name, context);
            storage_class& target = out.storage_classes[name];
            reader.read("Priority", target.priority);
            reader.read("Default", target.is_default);
        }
    }
    if (const auto* volumes = in.find("Volumes")) {
        for (const auto& [uuid, entry] : volumes->entries) {
            const std::string volume_path = in.path("Volumes") + "." + uuid;
            out.volumes[uuid] = decode_volume(config_reader(&entry, volume_path, context), volume_path, context);
        }
    }
    apply_class_rules(out, path, context);

    if (const auto* remotes = in.find("RemoteClusters")) {
        for (const auto& [remote_id, entry] : remotes->entries) {
            const std::string remote_path = in.path("RemoteClusters") + "." + remote_id;
            if (remote_id != "*" && !is_cluster_id(remote_id))
                context.fail_text(remote_path, entry.line,
                                  fmt::format("found the id \"{}\"; expected five lower-case letters "
                                              "and digits",
                                              remote_id));
            const config_reader reader(&entry, remote_path, context);
            remote_cluster& target = out.remote_clusters[remote_id];
            reader.read("Host", target.host);
            reader.read("Insecure", target.insecure);
        }
    }
    return out;
}

void warn_about_sanity(const config_value& section, const cluster_settings& cluster, config_context& context) {
    const std::string path = "Clusters." + cluster.id;
    const auto warn = [&](std::string text) { context.warnings.push_back(std::move(text)); };

    for (const auto& [service, instance] : cluster.internal_urls) {
        const bool served = std::ranges::any_of(cluster.volumes, [&](const auto& volume) {
            return volume.second.access_via_hosts.empty() || volume.second.access_via_hosts.contains(service);
        });
        if (!served)
            warn(fmt::format("{}.{}: the keepstore at {} has no volume that it may access", path, service_path,
                             service.to_string()));
    }
    for (const auto& [uuid, volume] : cluster.volumes)
        for (const auto& [host, read_only] : volume.access_via_hosts)
            if (!cluster.internal_urls.contains(host))
                warn(fmt::format("{}.Volumes.{}.AccessViaHosts: {} is not listed in {}", path, uuid, host.to_string(),
                                 service_path));
    for (const auto& [name, value] : cluster.storage_classes) {
        const bool used = std::ranges::any_of(
            cluster.volumes, [&](const auto& volume) { return volume.second.storage_classes.contains(name); });
        if (!used && !cluster.volumes.empty())
            warn(fmt::format("{}.StorageClasses.{}: there are no volumes of this storage class", path, name));
    }

    std::int64_t local_buffers = 0;
    config_reader(&section, path, context).section("Containers").read("LocalKeepBlobBuffersPerVCPU", local_buffers);
    if (local_buffers <= 0) return;
    for (const auto& [uuid, volume] : cluster.volumes) {
        std::string why;
        if (!volume.access_via_hosts.empty())
            why = "uses AccessViaHosts";
        else if (!volume.read_only && volume.replication < cluster.collections.default_replication)
            why = fmt::format("has lower replication than DefaultReplication ({} < {})", volume.replication,
                              cluster.collections.default_replication);
        if (why.empty()) continue;
        warn(
            fmt::format("{}.Containers.LocalKeepBlobBuffersPerVCPU is {} but will not be used "
                        "because at least one volume "
                        "({}) {}; suggest changing to 0",
                        path, local_buffers, uuid, why));
        return;
    }
}

}  // namespace keepstore::cluster_config
