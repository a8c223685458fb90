/// The typed configuration of one keepstore: what it needs of an Arvados cluster configuration (docs/interface.md 1.6
/// to 1.10). Plain values, initialised with their defaults; constant after loading (cluster_config/loader.hpp), so safe
/// to read from any thread. Names, bounds and meanings of the keys are in cluster_config/keys.cpp.
#pragma once

#include "base/limits.hpp"
#include "base/log.hpp"
#include "cluster_config/limits.hpp"
#include "cluster_config/url.hpp"
#include "cluster_config/value.hpp"
#include "net/limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::cluster_config {

using std::chrono::nanoseconds;

/// Services.Keepstore.InternalURLs.<url>
struct service_instance {
    url listen_url;          ///< Empty: listen on the key itself.
    std::string rendezvous;  ///< Not used by keepstore; part of service discovery.

    /// The URL that the service listens on, `service` being its key.
    [[nodiscard]] const url& listens_on(const url& service) const {
        return listen_url.host.empty() ? service : listen_url;
    }
};

struct api_config {
    std::int64_t requests_max = 64;  ///< 0 is no limit.
    std::int64_t queued_requests_max = 128;
    std::int64_t gateway_tunnels_max = 1000;
    nanoseconds lock_requests_queue_time_max = std::chrono::seconds(2);
    std::int64_t blob_buffers_max = 128;                    ///< Of 64 MiB each.
    nanoseconds request_timeout = std::chrono::minutes(5);  ///< 0 is no limit.

    /// Bytes that the buffer pool may hand out.
    [[nodiscard]] std::uint64_t memory_budget_bytes() const noexcept {
        return static_cast<std::uint64_t>(blob_buffers_max) * limits::block_size_bytes_max;
    }
};

struct collections_config {
    bool blob_signing = true;
    std::string blob_signing_key;  ///< Secret. Empty: locators are not signed (only without blob_signing).
    nanoseconds blob_signing_ttl = std::chrono::hours(336);
    bool blob_trash = true;
    nanoseconds blob_trash_lifetime = std::chrono::hours(336);       ///< 0: blocks are deleted at once.
    nanoseconds blob_trash_check_interval = std::chrono::hours(24);  ///< 0 or less: trash is never emptied.
    std::int64_t blob_trash_concurrency = 4;   ///< 0 or less: trash lists are stored and not worked on.
    std::int64_t blob_delete_concurrency = 4;  ///< 0 or less: trash is never emptied.
    std::int64_t blob_replicate_concurrency = 4;
    std::int64_t default_replication = 2;
    // Of balance tools; the server ignores them.
    std::int64_t balance_pull_limit = 100'000;  ///< Items of a list.
    std::int64_t balance_trash_limit = 100'000;
    std::string blob_missing_report;  ///< A file; empty: none.
};

struct containers_config {
    std::int64_t local_keep_blob_buffers_per_vcpu = 0;
};

struct storage_class {
    std::int64_t priority = 0;
    bool is_default = false;
};

struct remote_cluster {
    std::string host;
    bool insecure = false;
};

enum class log_shape { json, text, plain };

struct system_logs_config {
    log::level level = log::level::info;
    log_shape format = log_shape::json;
    std::string request_queue_dump_directory;
};

struct tls_config {
    std::string certificate;  ///< A path.
    std::string key;          ///< A path.
    bool insecure = false;    ///< Only for pulls.
    std::string acme_server;  ///< Not supported: an error when TLS is needed.
};

/// Our own keys, Clusters.<id>.Keepstore. The Go loader warns about the section and ignores it, so that one file serves
/// both programs.
struct keepstore_config {
    std::int64_t version = 1;
    /// Bytes/s. 16 KiB/s is far below any working link: a full block would take an hour, and request_timeout ends it
    /// after five minutes.
    std::uint64_t min_transfer_rate = limits::transfer_rate_bytes_min;
    /// Long enough for a TCP retransmission back-off and a short stall of a client.
    nanoseconds min_transfer_rate_period = limits::transfer_rate_window;
    nanoseconds header_timeout = limits::header_timeout;
    nanoseconds idle_timeout = limits::idle_timeout;
    /// Below the 90 s after which systemd sends SIGKILL.
    nanoseconds drain_timeout = std::chrono::seconds(60);
    std::int64_t connections_max = limits::connections_max;  ///< 0 is no limit but that on descriptors.
    std::int64_t listen_backlog = limits::listen_backlog;
    std::int64_t threads = 0;  ///< Event loops; 0 is one per CPU that the process may use.
    nanoseconds empty_trash_start_delay = limits::empty_trash_first_after;
    /// From the beginning of one scrub of a volume to that of the next. 0: a scrub runs on request only, because it
    /// reads everything and the operator should know.
    nanoseconds scrub_interval{0};
    std::uint64_t scrub_rate = limits::scrub_rate_default;  ///< Bytes/s and volume; 0 is no limit.
    /// Hosts that a pull list may name; see protocol/host_rules.hpp. Empty: all, as for the Go daemon. A list comes
    /// with the administrator's token, and balance tools name services by whatever the API server calls them.
    std::vector<std::string> pull_hosts;
};

/// Stands for the cluster's own keepstores in PullHosts.
inline constexpr std::string_view internal_urls_name = "InternalURLs";

/// Driver and DriverParameters of a volume, as written. The driver decodes them (volumes/factory.hpp); errors in them
/// matter only on hosts that serve the volume.
struct driver_section {
    std::string driver;
    config_value parameters;  ///< A map.
    std::string file;         ///< For messages, as is the path of the volume.
    std::string volume_path;
};

/// Volumes.<uuid>, as written (all hosts).
struct volume_config {
    std::map<url, bool> access_via_hosts;  ///< URL -> ReadOnly. Empty: every keepstore has access.
    bool read_only = false;
    bool allow_trash_when_read_only = false;
    std::int64_t replication = 1;
    std::map<std::string, bool> storage_classes;
    driver_section driver;
};

struct cluster_settings {
    std::string id;
    std::string system_root_token;  ///< Secret. Empty: the admin API is closed.
    std::string management_token;   ///< Secret.
    std::map<url, service_instance> internal_urls;
    url controller_url;  ///< Services.Controller.ExternalURL
    api_config api;
    collections_config collections;
    std::map<std::string, storage_class> storage_classes;
    std::map<std::string, volume_config> volumes;
    std::map<std::string, remote_cluster> remote_clusters;
    system_logs_config logs;
    containers_config containers;
    tls_config tls;
    keepstore_config keepstore;
};

/// Where a secret was found, for the operator.
struct secret_origin {
    std::string key;     ///< "Collections.BlobSigningKey"
    std::string origin;  ///< "configuration", "credential FILE", "environment variable NAME"; empty: there is none.
};

struct config {
    std::string source;                               ///< The file's path, "-" for standard input.
    std::string sha256;                               ///< Lower-case hex, over the bytes as read.
    std::chrono::system_clock::time_point timestamp;  ///< The file's mtime; now for standard input.
    cluster_settings cluster;
    std::vector<secret_origin> secrets;
    /// One line each, in the order found; for the log at level warning. None holds a secret.
    std::vector<std::string> warnings;
};

/// A volume as one keepstore process serves it.
struct local_volume {
    std::string uuid;
    bool allow_write = false;
    bool allow_trash = false;
    std::int64_t replication = 1;
    std::int64_t priority = 0;  ///< The highest of its classes whose value is true; at least 0.
    std::map<std::string, bool> storage_classes;
    driver_section driver;
};

/// The volume as a service serves it whose entry in AccessViaHosts, if there is one, says ReadOnly or not.
[[nodiscard]] local_volume serve_volume(const cluster_settings&, const std::string& uuid, const volume_config&,
                                        bool host_read_only);

/// Selects the volumes that the service with this URL (a key of InternalURLs, or the environment's) serves, by UUID.
/// \returns an error line when there is none ("no volumes configured", "no volumes configured for URL").
[[nodiscard]] std::expected<std::vector<local_volume>, std::string> select_volumes(const cluster_settings&,
                                                                                   const url& service_url);

}  // namespace keepstore::cluster_config
