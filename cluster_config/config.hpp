/// The typed configuration of one keepstore, as the rest of the daemon sees it: only what keepstore
/// needs of an Arvados cluster configuration (docs/interface.md 1.6 to 1.10), with defaults filled in and rules
/// checked. Plain values; constant after loading (cluster_config/loader.hpp), so safe to read from
/// any thread. conf/keepstore.full.yml explains every key.
#pragma once

#include "base/limits.hpp"
#include "base/log.hpp"
#include "cluster_config/url.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace keepstore::cluster_config {

using std::chrono::nanoseconds;

/// Services.Keepstore.InternalURLs.<url>
struct service_instance {
    url listen_url;          ///< Empty: listen on the key itself.
    std::string rendezvous;  ///< Not used by keepstore; part of service discovery.
};

struct api_config {
    std::int64_t requests_max = 64;                                      ///< MaxConcurrentRequests; 0 is no limit.
    std::int64_t queued_requests_max = 128;                              ///< MaxQueuedRequests.
    std::int64_t gateway_tunnels_max = 1000;                             ///< MaxGatewayTunnels.
    nanoseconds lock_requests_queue_time_max = std::chrono::seconds(2);  ///< MaxQueueTimeForLockRequests.
    std::int64_t blob_buffers_max = 128;                    ///< MaxKeepBlobBuffers, of 64 MiB each; at least 1.
    nanoseconds request_timeout = std::chrono::minutes(5);  ///< RequestTimeout; 0 is no limit.

    /// What the buffer pool may hand out.
    [[nodiscard]] std::uint64_t memory_budget_bytes() const noexcept {
        return static_cast<std::uint64_t>(blob_buffers_max) * (std::uint64_t{64} << 20);
    }
};

struct collections_config {
    bool blob_signing = true;
    std::string blob_signing_key;  ///< Secret. Empty: locators are not signed (only without blob_signing).
    nanoseconds blob_signing_ttl = std::chrono::hours(336);
    bool blob_trash = true;
    nanoseconds blob_trash_lifetime = std::chrono::hours(336);       ///< 0: blocks are deleted outright.
    nanoseconds blob_trash_check_interval = std::chrono::hours(24);  ///< 0 or less: trash is never emptied.
    std::int64_t blob_trash_concurrency = 4;      ///< 0 or less: trash lists are stored and not worked on.
    std::int64_t blob_delete_concurrency = 4;     ///< 0 or less: trash is never emptied.
    std::int64_t blob_replicate_concurrency = 4;  ///< At least 1.
    std::int64_t default_replication = 2;         ///< Only for a warning.
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
    std::string certificate;  ///< A path; the prefix file:// is taken off.
    std::string key;          ///< A path, likewise.
    bool insecure = false;    ///< Only for outgoing requests.
    std::string acme_server;  ///< Not supported: an error when TLS is needed.
};

/// Our own keys, Clusters.<id>.Keepstore. The Go loader warns about the section and ignores it, so
/// that one file serves both programs.
struct keepstore_config {
    /// MinTransferRate, bytes/s: a body slower than this over min_transfer_rate_period is cut off,
    /// so that slow clients cannot hold buffers and request slots. 16 KiB/s is far below any
    /// working link: a full block would take an hour, and RequestTimeout already ends it after five
    /// minutes. 0 is no limit.
    std::uint64_t min_transfer_rate = limits::transfer_rate_bytes_min;
    /// MinTransferRatePeriod: long enough for a TCP retransmission back-off and a short stall of a
    /// client.
    nanoseconds min_transfer_rate_period = limits::transfer_rate_window;
    /// HeaderTimeout, from the first byte of a request (or TLS handshake) to the end of its header.
    /// A header is one packet.
    nanoseconds header_timeout = limits::header_timeout;
    /// IdleTimeout of a kept-alive connection. Longer than the 90 s after which Go clients drop
    /// theirs, so that the client closes first and no request meets a closing connection.
    nanoseconds idle_timeout = limits::idle_timeout;
    /// DrainTimeout after SIGTERM for requests that run. Under systemd's 90 s before SIGKILL.
    nanoseconds drain_timeout = std::chrono::seconds(60);
    /// MaxConnections: an idle connection costs a descriptor and some KiB. 0 is no limit but that
    /// on descriptors, which holds in any case.
    std::int64_t connections_max = limits::connections_max;
    /// ListenBacklog: bursts of new connections; the kernel caps it at net.core.somaxconn.
    std::int64_t listen_backlog = limits::listen_backlog;
    /// Threads with an event loop; 0 is one per CPU that the process may use.
    std::int64_t threads = 0;
    /// EmptyTrashStartDelay: the first emptying of trash after the start. The Go daemon waits a
    /// whole interval, so that one that restarts daily never empties it.
    nanoseconds empty_trash_start_delay = limits::empty_trash_first_after;
    /// ScrubInterval: from the beginning of one scrub of a volume to that of the next. 0: a scrub runs only when
    /// somebody asks for it, because it reads everything and the operator should know.
    nanoseconds scrub_interval{0};
    /// ScrubRate, bytes/s and volume; 0 is no limit.
    std::uint64_t scrub_rate = limits::scrub_rate_default;
    /// PullHosts: whom a pull list may name; see protocol/host_rules.hpp. "InternalURLs" stands for the hosts of
    /// Services.Keepstore.InternalURLs. Empty: everybody, as for the Go daemon; a list comes with the administrator's
    /// token, and balance tools name services by whatever the API server calls them.
    std::vector<std::string> pull_hosts;
};

/// What stands for the cluster's own keepstores in PullHosts.
inline constexpr std::string_view internal_urls_name = "InternalURLs";

enum class direct_io { automatic, on, off };

/// DriverParameters of Driver: Directory.
struct directory_parameters {
    std::string root;                         ///< Starts with "/".
    bool serialize = false;                   ///< One file operation at a time.
    bool sync = true;                         ///< Ours: acknowledge only what is on disk.
    direct_io direct = direct_io::automatic;  ///< Ours: write past the page cache.
};

/// DriverParameters of Driver: S3.
struct s3_parameters {
    std::string access_key_id;      ///< Both empty: credentials of the instance or environment.
    std::string secret_access_key;  ///< Secret.
    std::string endpoint;
    std::string region;
    std::string bucket;
    bool location_constraint = false;
    std::int64_t index_page_size = 1000;
    nanoseconds connect_timeout = std::chrono::minutes(1);
    nanoseconds read_timeout = std::chrono::minutes(10);
    nanoseconds race_window{0};
    bool unsafe_delete = false;
    std::int64_t prefix_length = 0;
    bool use_path_style = false;
};

/// What is wrong with a volume's driver or its parameters. Matters only on hosts that would serve
/// the volume.
struct driver_problem {
    std::string text;
};

using driver_parameters = std::variant<driver_problem, directory_parameters, s3_parameters>;

/// Volumes.<uuid>, as written (all hosts).
struct volume_config {
    std::map<url, bool> access_via_hosts;  ///< URL -> ReadOnly. Empty: every keepstore has access.
    bool read_only = false;
    bool allow_trash_when_read_only = false;
    std::int64_t replication = 1;
    std::map<std::string, bool> storage_classes;
    std::string driver;
    driver_parameters parameters;
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
    tls_config tls;
    keepstore_config keepstore;
};

struct config {
    std::string source;                               ///< The file's path, "-" for standard input.
    std::string sha256;                               ///< Lower-case hex, over the bytes as read.
    std::chrono::system_clock::time_point timestamp;  ///< The file's mtime; now for standard input.
    cluster_settings cluster;
    /// One line each, in the order found; for the log at level warning. None holds a secret.
    std::vector<std::string> warnings;
};

/// A volume as one keepstore process serves it.
struct local_volume {
    std::string uuid;
    bool allow_write = false;
    bool allow_trash = false;
    std::int64_t replication = 1;
    std::int64_t priority = 0;  ///< The highest of its classes whose value is true.
    std::map<std::string, bool> storage_classes;
    std::variant<directory_parameters, s3_parameters> parameters;
};

/// The volumes that the service with this URL (a key of InternalURLs, or the environment's) serves,
/// by UUID.
/// \returns an error line when there is none ("no volumes configured", "no volumes configured for
/// URL"), or for the first volume of this host whose driver is not supported or has wrong
/// parameters.
[[nodiscard]] std::expected<std::vector<local_volume>, std::string> select_volumes(const cluster_settings&,
                                                                                   const url& service_url);

}  // namespace keepstore::cluster_config
