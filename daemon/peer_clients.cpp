#include "daemon/peer_clients.hpp"

#include "base/log.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::daemon {
namespace {

std::vector<store::remote_reader::cluster> remote_clusters(const cluster_config::cluster_settings& cluster,
                                                           const net::client& secure, const net::client& insecure) {
    std::vector<store::remote_reader::cluster> out;
    for (const auto& [id, remote] : cluster.remote_clusters) {
        if (id == "*" || remote.host.empty()) continue;
        // Always https (docs/interface.md 3.8).
        auto parsed = net::parse_url("https://" + remote.host);
        if (!parsed || parsed->target != "/") {
            log::warning(
                fmt::format("Clusters.{}.RemoteClusters.{}.Host is not a host name, with :port or without; blocks of "
                            "that cluster cannot be read",
                            cluster.id, id));
            continue;
        }
        out.push_back({.id = id, .api = std::move(parsed->to), .client = remote.insecure ? &insecure : &secure});
    }
    return out;
}

void add_client_samples(std::vector<router::metrics::sample>& out, const std::string& name,
                        const net::client_counters& c) {
    using labels = std::vector<std::pair<std::string, std::string>>;
    const auto add = [&](std::string metric, std::string help, bool counter, double value, labels more = {}) {
        more.insert(more.begin(), {"client", name});
        out.push_back({std::move(metric), std::move(help), counter, value, std::move(more)});
    };
    router::append(out, c, {{"client", name}});
    add("keepstore_outgoing_connections_open", "Connections to other servers.", false,
        static_cast<double>(c.connections_in_use.value() + c.connections_idle.value()));
    add("keepstore_outgoing_requests_waiting", "Requests waiting for a connection.", false,
        static_cast<double>(c.waiting.value()));
    add("keepstore_outgoing_wait_seconds_total", "Time that requests have waited for a connection.", true,
        static_cast<double>(c.wait_microseconds.value()) / 1e6);
    for (std::size_t i = 1; i < c.failures.size(); ++i) {
        const auto n = static_cast<double>(c.failures[i].value());
        const std::string reason(net::to_string(static_cast<net::failure>(i)));
        add("keepstore_outgoing_failures_total", "Failed requests, by reason.", true, n, {{"reason", reason}});
    }
}

}  // namespace

peer_clients::peer_clients(const cluster_config::cluster_settings& cluster, reports::start_plan& plan,
                           store::block_store& store)
    : pull_client_(std::move(*plan.pull_client)),
      remote_client_(std::move(*plan.remote_client)),
      insecure_client_(std::move(*plan.insecure_client)),
      pull_workers_(static_cast<unsigned>(cluster.collections.blob_replicate_concurrency)),
      pulls_(store.context(), pull_client_, {.workers = pull_workers_, .hosts = std::move(plan.pull_hosts)}),
      remote_(remote_clusters(cluster, remote_client_, insecure_client_), store) {}

std::vector<router::metrics::sample> peer_clients::samples() const {
    std::vector<router::metrics::sample> out;
    router::append(out, pulls_.counters());
    out.push_back({"keepstore_pull_memory_bytes", "Held by blocks being pulled.", false,
                   static_cast<double>(pulls_.memory().in_use_bytes)});
    for (auto& sample : router::pool_samples("pull", pulls_.memory())) out.push_back(std::move(sample));
    router::append(out, remote_.counters());
    add_client_samples(out, "pull", pull_client_.counters());
    add_client_samples(out, "remote", remote_client_.counters());
    add_client_samples(out, "remote_insecure", insecure_client_.counters());
    return out;
}

void peer_clients::close() noexcept {
    pull_client_.close();
    remote_client_.close();
    insecure_client_.close();
}

}  // namespace keepstore::daemon
