#include "reports/check.hpp"

#include "base/event_loop_group.hpp"
#include "base/join.hpp"
#include "cluster_config/scalars.hpp"
#include "reports/memory_limits.hpp"
#include "reports/running_service.hpp"
#include "reports/start_plan.hpp"
#include "volumes/directory/driver.hpp"
#include "volumes/factory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace keepstore::reports {
namespace {

using cluster_config::format_bytes;
using cluster_config::format_duration;

class report {
  public:
    void line(std::string_view name, std::string_view value) { text_ += fmt::format("  {:<18} {}\n", name, value); }
    void heading(std::string_view title) { text_ += fmt::format("{}\n", title); }
    void problem(std::string text) { problems_.push_back(std::move(text)); }
    void note(std::string text) { notes_.push_back(std::move(text)); }

    check_report finish(const std::vector<std::string>& warnings) {
        if (!warnings.empty()) heading("warnings");
        for (const auto& warning : warnings) text_ += "  " + warning + "\n";
        if (!notes_.empty()) heading("notes");
        for (const auto& note : notes_) text_ += "  " + note + "\n";
        if (!problems_.empty()) heading("problems");
        for (const auto& problem : problems_) text_ += "  " + problem + "\n";
        text_ += problems_.empty() ? "ok: keepstore can start with this configuration\n"
                                   : fmt::format("not ok: {} to fix\n",
                                                 problems_.size() == 1 ? std::string("1 problem")
                                                                       : fmt::format("{} problems", problems_.size()));
        return {.text = std::move(text_), .exit_code = problems_.empty() ? 0 : 1};
    }

  private:
    std::string text_;
    std::vector<std::string> problems_;
    std::vector<std::string> notes_;
};

std::string mode_text(const cluster_config::local_volume& volume) {
    if (volume.allow_write) return "read, write, trash";
    return volume.allow_trash ? "read, trash (no new blocks)" : "read only";
}

void describe_volume(report& out, const volumes::volume_plan& plan) {
    const auto& v = plan.volume;
    out.heading(fmt::format("volume {}", v.uuid));
    out.line("mode", mode_text(v));
    std::vector<std::string> classes;
    for (const auto& [name, value] : v.storage_classes) classes.push_back(name);
    out.line("storage classes", fmt::format("{} (priority {})", join(classes, ", "), v.priority));
    out.line("replication", fmt::format("{}", v.replication));
    auto described = plan.describe();
    for (const auto& [name, text] : described.lines) out.line(name, text);
    for (auto& problem : described.problems) out.problem(std::move(problem));
}

void describe_limits(report& out, const cluster_config::cluster_settings& cluster) {
    const auto& api = cluster.api;
    const auto& own = cluster.keepstore;
    const auto count = [](std::int64_t n) { return n == 0 ? std::string("no limit") : fmt::format("{}", n); };
    out.heading("limits");
    out.line("requests", fmt::format("{} at once, then {} waiting", count(api.requests_max), api.queued_requests_max));
    out.line("request time", api.request_timeout.count() == 0 ? "no limit" : format_duration(api.request_timeout));
    // That limit holds in any case, and depends on the process.
    out.line("connections", fmt::format("{}, backlog {}",
                                        own.connections_max == 0 ? "three quarters of the file descriptors"
                                                                 : fmt::format("{}", own.connections_max),
                                        own.listen_backlog));
    out.line("timeouts", fmt::format("header {}, idle {}, drain {}", format_duration(own.header_timeout),
                                     format_duration(own.idle_timeout), format_duration(own.drain_timeout)));
    out.line("slowest transfer", own.min_transfer_rate == 0
                                     ? std::string("no limit")
                                     : fmt::format("{}/s over {}", format_bytes(own.min_transfer_rate),
                                                   format_duration(own.min_transfer_rate_period)));
    out.line("block memory", fmt::format("at most {} ({} buffers of 64 MiB), taken as needed",
                                         format_bytes(api.memory_budget_bytes()), api.blob_buffers_max));
}

// The memory that the process may hold at once, block memory included.
void describe_memory(report& out, const cluster_config::cluster_settings& cluster,
                     const std::vector<volumes::volume_plan>& served) {
    const auto whole = [](std::int64_t n) { return static_cast<std::size_t>(std::max<std::int64_t>(0, n)); };
    const auto& own = cluster.keepstore;
    if (own.connections_max == 0)
        return out.line("all memory", "depends on the file descriptors of the process, since MaxConnections is 0");
    const auto directories = static_cast<std::size_t>(std::ranges::count_if(
        served, [](const auto& plan) { return plan.volume.driver.driver == volumes::directory_driver.name; }));
    const auto requests = cluster.api.requests_max == 0 ? own.connections_max : cluster.api.requests_max;
    const std::size_t bytes =
        limits::memory_bytes_max({.pool_budget_bytes = cluster.api.memory_budget_bytes(),
                                  .directory_volumes = directories,
                                  .cloud_volumes = served.size() - directories,
                                  .pull_workers = whole(cluster.collections.blob_replicate_concurrency),
                                  .requests = whole(requests),
                                  .connections = whole(own.connections_max),
                                  .event_loops = own.threads > 0 ? whole(own.threads) : usable_processors()});
    out.line("all memory", fmt::format("at most {}: blocks, transfers and clients", format_bytes(bytes)));
}

void describe_policy(report& out, const cluster_config::cluster_settings& cluster) {
    const auto& c = cluster.collections;
    out.heading("policy");
    out.line("signatures", c.blob_signing ? fmt::format("required, valid for {}", format_duration(c.blob_signing_ttl))
                                          : "not required");
    if (!c.blob_trash) {
        out.line("trash", "off: DELETE is refused, nothing is removed");
    } else {
        const bool emptied =
            c.blob_trash_check_interval > std::chrono::nanoseconds::zero() && c.blob_delete_concurrency > 0;
        out.line("trash", c.blob_trash_lifetime == std::chrono::nanoseconds::zero()
                              ? std::string("blocks are deleted at once")
                              : fmt::format("kept for {}", format_duration(c.blob_trash_lifetime)));
        out.line("empty trash",
                 emptied ? fmt::format("{} after the start, then every {}, {} workers",
                                       format_duration(std::min(cluster.keepstore.empty_trash_start_delay,
                                                                c.blob_trash_check_interval)),
                                       format_duration(c.blob_trash_check_interval), c.blob_delete_concurrency)
                         : std::string("never"));
        out.line("trash lists", c.blob_trash_concurrency > 0 ? fmt::format("{} workers", c.blob_trash_concurrency)
                                                             : std::string("accepted and not worked on"));
    }
    out.line("pull lists", fmt::format("{} workers, from {}", c.blob_replicate_concurrency,
                                       cluster.keepstore.pull_hosts.empty()
                                           ? std::string("any host")
                                           : join(cluster.keepstore.pull_hosts, ", ") + " (PullHosts)"));
    for (const auto& [id, remote] : cluster.remote_clusters)
        if (id != "*" && !remote.host.empty())
            out.line("remote cluster " + id,
                     fmt::format("https://{}{}", remote.host, remote.insecure ? ", certificates not verified" : ""));
    out.line("admin API", cluster.system_root_token.empty() ? "closed (no SystemRootToken)" : "with SystemRootToken");
    out.line("metrics", cluster.management_token.empty() ? "open (no ManagementToken)" : "with ManagementToken");
}

// Names and origins, never values.
void describe_secrets(report& out, const std::vector<cluster_config::secret_origin>& secrets) {
    out.heading("secrets");
    for (const auto& [key, origin] : secrets) out.line(key, origin.empty() ? "none" : origin);
}

}  // namespace

check_report check_host(const std::expected<cluster_config::config, std::string>& loaded,
                        const cluster_config::environment& env, const cluster_config::bind_probe& probe) {
    report out;
    if (!loaded) {
        out.problem(loaded.error());
        return out.finish({});
    }
    const cluster_config::cluster_settings& cluster = loaded->cluster;
    std::vector<std::string> warnings = loaded->warnings;
    std::ranges::move(volumes::parameter_warnings(cluster), std::back_inserter(warnings));

    out.heading(fmt::format("cluster {}", cluster.id));
    out.line("configuration",
             fmt::format("{} (sha256 {})", loaded->source == "-" ? "standard input" : loaded->source, loaded->sha256));
    // An address in use is no problem if the service to be restarted uses it.
    const auto probe_or_service = [&](const cluster_config::url& listen_url) {
        auto bound = probe(listen_url);
        if (bound || !bound.error().in_use) return bound;
        const auto taken = *bound.error().in_use;
        if (!answers_as_keepstore(taken, listen_url.is_tls())) return bound;
        out.note(fmt::format("{} is in use by a running keepstore: stop it before another one starts there",
                             listen_url.to_string()));
        return std::expected<boost::asio::ip::tcp::endpoint, cluster_config::bind_error>(taken);
    };
    const auto plan =
        plan_start(*loaded, {.service_internal_url = env.service_internal_url, .probe = probe_or_service});
    for (const auto& problem : plan.problems) out.problem(problem);
    warnings.insert(warnings.end(), plan.warnings.begin(), plan.warnings.end());
    if (plan.where) {
        out.line("service URL", plan.where->service_url.to_string());
        out.line("listen URL", plan.where->listen_url.to_string());
        out.line("TLS",
                 plan.where->tls ? fmt::format("yes, certificate {}", cluster.tls.certificate) : std::string("no"));
        warnings.insert(warnings.end(), plan.where->warnings.begin(), plan.where->warnings.end());
    }
    const auto& served = plan.volumes;
    for (const auto& volume : served) describe_volume(out, volume);
    describe_limits(out, cluster);
    if (!served.empty()) describe_memory(out, cluster, served);
    describe_policy(out, cluster);
    describe_secrets(out, loaded->secrets);
    return out.finish(warnings);
}

}  // namespace keepstore::reports
