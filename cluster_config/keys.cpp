#include "cluster_config/keys.hpp"

#include "cluster_config/limits.hpp"
#include "cluster_config/scalars.hpp"

namespace keepstore::cluster_config {
namespace {

using std::chrono::seconds;

const count_bounds any_count;
const time_bounds any_time;
constexpr nanoseconds zero{0};

/// A secret of letters and digits.
std::string token(std::string value, const config_reader& in, std::string_view name) {
    if (value.empty()) return value;
    if (!std::ranges::all_of(value, is_alphanumeric))
        in.fail(name, "found other characters than letters and digits; expected only letters and digits");
    if (value.size() < 32) in.warn(name, "token is too short (should be at least 32 alphanumeric characters)");
    return value;
}

std::string file_path(std::string value, const config_reader&, std::string_view) {
    if (value.starts_with("file://")) value.erase(0, 7);
    return value;
}

/// logrus' names.
const choices<log::level> log_levels{.words = {{"panic", log::level::panic},
                                               {"fatal", log::level::fatal},
                                               {"error", log::level::error},
                                               {"warn", log::level::warning},
                                               {"warning", log::level::warning},
                                               {"info", log::level::info},
                                               {"debug", log::level::debug},
                                               {"trace", log::level::trace}},
                                     .expected = "panic, fatal, error, warn, info, debug or trace",
                                     .what = "log level",
                                     .any_case = true};
const choices<log_shape> log_formats{
    .words = {{"json", log_shape::json}, {"text", log_shape::text}, {"plain", log_shape::plain}},
    .expected = "json or text",
    .what = "log format"};

key_table<service_instance> instance_keys() {
    using c = service_instance;
    using key = key_of<c>;
    return {
        key::address("ListenURL", &c::listen_url,
                     "Listen here instead, for a proxy in front. Its scheme decides about TLS. Default: the key "
                     "itself."),
        key::text("Rendezvous", &c::rendezvous,
                  "The URL that this service had before, to keep the order in which clients look for blocks."),
    };
}

key_table<api_config> api_keys() {
    using c = api_config;
    using key = key_of<c>;
    return {
        key::count("MaxConcurrentRequests", &c::requests_max, {.min = 0, .clamps = true},
                   "requests worked on at once; 0 is no limit"),
        key::count("MaxQueuedRequests", &c::queued_requests_max, {.min = 0, .clamps = true},
                   "requests waiting for a place; more get 503"),
        key::duration("MaxQueueTimeForLockRequests", &c::lock_requests_queue_time_max, any_time,
                      "checked, no effect: no keepstore request is of that kind"),
        key::count("MaxGatewayTunnels", &c::gateway_tunnels_max, {.min = 0, .clamps = true}, "checked, no effect"),
        key::count(
            "MaxKeepBlobBuffers", &c::blob_buffers_max,
            {.min = 1,
             .max = limits::blob_buffers_max,
             .expected = fmt::format("1 to {} (buffers of 64 MiB; 0 is not \"no limit\")", limits::blob_buffers_max)},
            "memory for blocks in units of 64 MiB, a limit and not taken in advance; at least 1"),
        key::duration("RequestTimeout", &c::request_timeout, {.min = zero, .clamps = true},
                      "for one request; 0 is no limit; the index is exempt"),
    };
}

key_table<collections_config> collections_keys() {
    using c = collections_config;
    using key = key_of<c>;
    return {
        key::boolean("BlobSigning", &c::blob_signing, "require signed locators for reading"),
        key::text("BlobSigningKey", &c::blob_signing_key, "the same on the whole cluster", token),
        key::duration("BlobSigningTTL", &c::blob_signing_ttl, {.min = zero},
                      "validity of signatures, which end by February 2106; blocks younger than this are never trashed"),
        key::boolean("BlobTrash", &c::blob_trash, "false: nothing is ever trashed or deleted"),
        key::duration("BlobTrashLifetime", &c::blob_trash_lifetime,
                      {.min = zero, .expected = "0 (delete at once) or more"},
                      "how long trash can be brought back; 0 deletes at once"),
        key::duration("BlobTrashCheckInterval", &c::blob_trash_check_interval, any_time,
                      "between two emptyings of trash; 0 is never"),
        key::count("BlobTrashConcurrency", &c::blob_trash_concurrency, any_count,
                   "workers on trash lists; 0: lists are stored and not worked on"),
        key::count("BlobDeleteConcurrency", &c::blob_delete_concurrency, any_count,
                   "workers that empty trash; 0: trash is never emptied"),
        key::count("BlobReplicateConcurrency", &c::blob_replicate_concurrency, {.min = 1, .max = 1000, .clamps = true},
                   "workers on pull lists; 1 to 1000, other values are taken for the nearest of these"),
        key::count("DefaultReplication", &c::default_replication, any_count,
                   "copies; the server uses it for a warning only, keepctl for its defaults"),
        key::count("BalancePullLimit", &c::balance_pull_limit, {.min = 0, .clamps = true},
                   "of keepctl balance: items of a pull list"),
        key::count("BalanceTrashLimit", &c::balance_trash_limit, {.min = 0, .clamps = true},
                   "of keepctl balance: items of a trash list"),
        key::text("BlobMissingReport", &c::blob_missing_report,
                  "of keepctl balance --apply: blocks without a copy are written to this file"),
    };
}

key_table<storage_class> storage_class_keys() {
    using c = storage_class;
    using key = key_of<c>;
    return {
        key::boolean("Default", &c::is_default, "at least one class must be a default; false when left out"),
        key::count("Priority", &c::priority, any_count,
                   "volumes of a class with a higher number are read first; below 0 is the same as 0"),
    };
}

/// Keeps Driver and DriverParameters for the driver.
key<volume_config> parameters_key(std::string name) {
    return {.name = name,
            .declare = declare_key(name, 'F'),
            .decode =
                [name](const config_reader& in, volume_config& out) {
                    if (const auto* tree = in.find(name))
                        out.driver.parameters = *tree;
                    else
                        out.driver.parameters.type = config_value::kind::map;
                    out.driver.file = in.file();
                    out.driver.volume_path = in.path();
                },
            .write = [](reference_writer& to, const volume_config& shown,
                        const volume_config&) { to.parameters(shown.driver); }};
}

key_table<volume_config> volume_keys() {
    using c = volume_config;
    using key = key_of<c>;
    return {
        key::map("AccessViaHosts", &c::access_via_hosts,
                 key_table<bool>{key_of<bool>::boolean("ReadOnly", std::identity(), "read-only on this host")},
                 "The keepstores that have this volume, by their keys in InternalURLs. Default: all of them."),
        key::boolean("ReadOnly", &c::read_only, "read-only everywhere"),
        key::boolean("AllowTrashWhenReadOnly", &c::allow_trash_when_read_only,
                     "still trash blocks of a read-only volume, to drain it"),
        key::count("Replication", &c::replication, {.min = 1, .clamps = true},
                   "copies that one block on this volume stands for; at least 1"),
        key::flags("StorageClasses", &c::storage_classes, ""),
        key::text(
            "Driver", [](auto& v) -> auto& { return v.driver.driver; }, "the kind of volume; no default"),
        parameters_key("DriverParameters"),
    };
}

key_table<remote_cluster> remote_cluster_keys() {
    using c = remote_cluster;
    using key = key_of<c>;
    return {
        key::text("Host", &c::host, "its API server, with :PORT if that is not 443; always asked by https"),
        key::boolean("Insecure", &c::insecure, "do not verify the certificates of its API server and keep services"),
    };
}

key_table<system_logs_config> log_keys() {
    using c = system_logs_config;
    using key = key_of<c>;
    return {
        key::choice("LogLevel", &c::level, log_levels, "panic, fatal, error, warn, info, debug, trace"),
        key::choice("Format", &c::format, log_formats, "json or text"),
        key::text("RequestQueueDumpDirectory", &c::request_queue_dump_directory,
                  "directory for the list of requests when the limit is near; \"\": none"),
    };
}

key_table<tls_config> tls_keys() {
    using c = tls_config;
    using key = key_of<c>;
    return {
        key::text("Certificate", &c::certificate,
                  "PEM file with the chain; read again on SIGHUP and every hour; needed for https", file_path),
        key::text("Key", &c::key, "PEM file", file_path),
        key::boolean("Insecure", &c::insecure, "do not verify the certificates of other servers (pulls only, not S3)"),
        key::group("ACME",
                   {key::text("Server", &c::acme_server, "not supported: certificates come from the two files above")}),
    };
}

key_table<keepstore_config> keepstore_keys() {
    using c = keepstore_config;
    using key = key_of<c>;
    return {
        key::count("Version", &c::version, {.min = 1, .max = 1, .expected = "1, the only version of this section"},
                   "of this section"),
        key::size("MinTransferRate", &c::min_transfer_rate, "per second; slower clients are cut off; 0 is no limit"),
        key::duration("MinTransferRatePeriod", &c::min_transfer_rate_period, {.min = seconds(1)},
                      "the rate is measured over this long; at least 1s"),
        key::duration("HeaderTimeout", &c::header_timeout, {.min = seconds(1)},
                      "from the first byte to the end of a request's header; at least 1s"),
        key::duration("IdleTimeout", &c::idle_timeout, {.min = seconds(1)},
                      "for connections between requests; at least 1s"),
        key::duration("DrainTimeout", &c::drain_timeout, {.min = zero}, "after SIGTERM, for running requests"),
        key::count("MaxConnections", &c::connections_max, {.min = 0, .expected = "0 (no limit) or more"},
                   "at most, and with 0, three quarters of the process's descriptors"),
        key::count("ListenBacklog", &c::listen_backlog, {.min = 1, .max = 65535}, "1 to 65535; the kernel may cap it"),
        key::count("Threads", &c::threads, {.min = 0, .max = 1024, .expected = "0 (one per CPU) to 1024"},
                   "event loops; 0 is one per CPU"),
        key::duration("EmptyTrashStartDelay", &c::empty_trash_start_delay, {.min = zero},
                      "first emptying of trash after the start, or BlobTrashCheckInterval if that is shorter"),
        key::duration("ScrubInterval", &c::scrub_interval, {.min = zero, .expected = "0 (only when asked) or more"},
                      "read and check every stored block this often, e.g. 720h; 0: on request only (PUT /_scrub)"),
        key::size("ScrubRate", &c::scrub_rate, "per second and volume, the most that a scrub reads; 0 is no limit"),
        key::names("PullHosts", &c::pull_hosts,
                   "Hosts that pull lists may name: host names, addresses, either with :PORT, networks such as "
                   "10.1.0.0/16, and the word InternalURLs for the keepstores listed above. {} allows all but "
                   "link-local and metadata addresses, which are never asked."),
    };
}

key_table<containers_config> containers_keys() {
    using c = containers_config;
    return {key_of<c>::count("LocalKeepBlobBuffersPerVCPU", &c::local_keep_blob_buffers_per_vcpu, any_count,
                             "used for a warning only")};
}

key_table<cluster_settings> make_cluster_keys() {
    using c = cluster_settings;
    using key = key_of<c>;
    return {
        key::text("SystemRootToken", &c::system_root_token,
                  "Secrets are letters and digits only, at least 32. Without this one the admin API (index, trash and "
                  "pull lists, untrash) is "
                  "closed. Default: \"\".",
                  token),
        key::text("ManagementToken", &c::management_token,
                  "Without this one /metrics is open and health checks are off. Default: \"\".", token),
        key::group("Services",
                   {key::group("Keepstore",
                               {key::map("InternalURLs", &c::internal_urls, instance_keys(),
                                         "One entry for each keepstore of the cluster. A host serves the first entry "
                                         "whose address it can bind, or the one that the environment variable "
                                         "ARVADOS_SERVICE_INTERNAL_URL names. https means TLS (see TLS below).")}),
                    key::group("Controller", {key::address("ExternalURL", &c::controller_url,
                                                           "the API server; checked, no effect")})}),
        key::section("API", &c::api, api_keys(), ""),
        key::section("Collections", &c::collections, collections_keys(), ""),
        key::map("StorageClasses", &c::storage_classes, storage_class_keys(),
                 "Leave out both this section and the volumes' StorageClasses, and everything is in the class "
                 "\"default\"."),
        key::map("Volumes", &c::volumes, volume_keys(), "The UUID names the volume for the whole cluster."),
        key::map("RemoteClusters", &c::remote_clusters, remote_cluster_keys(), ""),
        key::section("SystemLogs", &c::logs, log_keys(), ""),
        key::section("TLS", &c::tls, tls_keys(), ""),
        key::section("Containers", &c::containers, containers_keys(), ""),
        key::section("Keepstore", &c::keepstore, keepstore_keys(),
                     "Keys of this program only. The Go daemon warns about the section once and ignores it."),
    };
}

}  // namespace

std::function<void(schema_node&)> declare_key(std::string_view name, char type) {
    return [name = std::string(name), type](schema_node& map) { map.named[name].type = type; };
}

std::function<void(schema_node&)> declare_entries(std::string_view name, char type) {
    return [name = std::string(name), type](schema_node& map) {
        auto entry = std::make_shared<schema_node>();
        entry->type = type;
        map.named[name].any = std::move(entry);
    };
}

const key_table<cluster_settings>& cluster_keys() {
    static const key_table<cluster_settings> table = make_cluster_keys();
    return table;
}

const schema_node& cluster_schema() {
    static const schema_node schema = [] {
        schema_node out = other_services_schema();
        declare_keys(cluster_keys(), out);
        return out;
    }();
    return schema;
}

}  // namespace keepstore::cluster_config
