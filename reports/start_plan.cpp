#include "reports/start_plan.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <expected>
#include <system_error>
#include <utility>

namespace keepstore::reports {
namespace {

/// Appends what is wrong with a PEM file. \returns whether nothing is.
bool check_pem_file(std::vector<std::string>& problems, std::string_view key, const std::string& path) {
    const auto problem = [&](std::string text) {
        problems.push_back(fmt::format("TLS.{}: {}", key, text));
        return false;
    };
    if (path.empty()) return problem("missing; expected the path of a PEM file, because the listen URL is https");
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0)
        return problem(fmt::format("{}: {}", path, std::generic_category().message(errno)));
    if (S_ISDIR(status.st_mode)) return problem(path + ": not a file; expected a PEM file");
    if (::access(path.c_str(), R_OK) != 0)
        return problem(fmt::format("{}: {}", path, std::generic_category().message(errno)));
    return true;
}

void plan_tls(start_plan& out, const cluster_config::tls_config& files) {
    if (!files.acme_server.empty()) {
        out.problems.emplace_back(
            "TLS.ACME.Server: certificates from ACME are not supported; expected TLS.Certificate and TLS.Key");
        return;
    }
    const bool certificate = check_pem_file(out.problems, "Certificate", files.certificate);
    const bool key = check_pem_file(out.problems, "Key", files.key);
    if (!certificate || !key) return;
    auto loaded = net::tls_server_context::load(files.certificate, files.key);
    if (loaded)
        out.tls = std::move(*loaded);
    else
        out.problems.push_back("cannot start keepstore service on URL: " + loaded.error().text);
}

/// The daemon serves blocks without its dumps; their folder is no reason not to start.
void check_dump_folder(start_plan& out, const std::string& path) {
    if (path.empty()) return;
    struct stat status{};
    std::string why;
    if (::stat(path.c_str(), &status) != 0)
        why = std::generic_category().message(errno);
    else if (!S_ISDIR(status.st_mode))
        why = "not a directory";
    else if (::access(path.c_str(), W_OK | X_OK) != 0)
        why = std::generic_category().message(errno);
    if (why.empty()) return;
    out.warnings.push_back(
        fmt::format("SystemLogs.RequestQueueDumpDirectory: {}: {}; requests will not be listed there. Make it a folder "
                    "that user {} may write to, and name it in ReadWritePaths= of the unit; or remove the key",
                    path, why, ::geteuid()));
}

void plan_volumes(start_plan& out, const cluster_config::cluster_settings& cluster, const start_context& context) {
    auto plans = volumes::plan_volumes(cluster, out.where->service_url);
    if (!plans) {
        out.problems.push_back(std::move(plans.error()));
        return;
    }
    out.volumes = std::move(*plans);
    for (const auto& plan : out.volumes) {
        context.step("checking volume " + plan.volume.uuid);
        if (auto usable = plan.check(); !usable) out.problems.push_back(std::move(usable.error()));
    }
}

void make_client(start_plan& out, std::optional<net::client>& into, bool insecure) {
    // Addresses come from pull lists and other clusters: they must never name a service of this host alone.
    auto made = net::client::make({.tls_insecure = insecure, .refuse_link_local = true});
    if (made)
        into.emplace(std::move(*made));
    else
        out.problems.push_back("cannot make an HTTP client: " + made.error().text);
}

std::vector<std::string> pull_hosts(const cluster_config::cluster_settings& cluster) {
    std::vector<std::string> out;
    for (const auto& entry : cluster.keepstore.pull_hosts) {
        if (entry != cluster_config::internal_urls_name) {
            out.push_back(entry);
            continue;
        }
        for (const auto& [service, instance] : cluster.internal_urls) {
            // With its port, also where the URL leaves it to the scheme.
            const auto parsed = net::parse_url(service.to_string());
            if (!parsed) continue;
            const bool v6 = parsed->to.host.find(':') != std::string::npos;
            out.push_back(fmt::format("{}{}{}:{}", v6 ? "[" : "", parsed->to.host, v6 ? "]" : "", parsed->to.port));
        }
    }
    return out;
}

void plan_clients(start_plan& out, const cluster_config::cluster_settings& cluster) {
    make_client(out, out.pull_client, cluster.tls.insecure);
    make_client(out, out.remote_client, false);
    make_client(out, out.insecure_client, true);
    // Cannot fail: the loader has checked the entries (cluster_config/rules.cpp).
    out.pull_hosts = protocol::host_rules::parse(pull_hosts(cluster)).value();
    if (!cluster.keepstore.pull_hosts.empty()) out.pull_hosts.restrict();
}

}  // namespace

start_plan plan_start(const cluster_config::config& conf, const start_context& context) {
    start_plan out;
    const auto& cluster = conf.cluster;
    context.step("finding the address to listen on");
    auto where = cluster_config::choose_listen_address(cluster, context.service_internal_url, context.probe);
    if (where) {
        out.where = std::move(*where);
        plan_volumes(out, cluster, context);
        context.step("reading the TLS certificate and key");
        if (out.where->tls) plan_tls(out, cluster.tls);
    } else {
        out.problems.push_back(std::move(where.error()));
    }
    check_dump_folder(out, cluster.logs.request_queue_dump_directory);
    plan_clients(out, cluster);
    return out;
}

}  // namespace keepstore::reports
