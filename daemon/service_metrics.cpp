#include "daemon/service_metrics.hpp"

#include "router/scrub_report.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>

namespace keepstore::daemon {

std::vector<router::metrics::sample> service_metrics(const net::server& server, const store::scrubber& scrub,
                                                     const peer_clients& peers, store::store_context& store) {
    const auto s = server.snapshot();
    const auto d = store.engine.snapshot();
    const auto gauge = [](std::string name, std::string help, auto value) {
        return router::metrics::sample{std::move(name), std::move(help), false, static_cast<double>(value)};
    };
    const auto counter = [](std::string name, std::string help, std::uint64_t value) {
        return router::metrics::sample{std::move(name), std::move(help), true, static_cast<double>(value)};
    };
    std::vector<router::metrics::sample> out{
        gauge("keepstore_connections_open", "Open client connections.", s.connections_open),
        gauge("keepstore_connections_idle", "Of these, waiting for a request.", s.connections_idle),
        gauge("keepstore_connections_max", "Limit on open connections.", s.connections_max),
        counter("keepstore_connections_total", "Connections accepted.", s.connections_total),
        counter("keepstore_accept_pauses_total", "Times that accepting stopped for lack of descriptors.",
                s.accept_pauses_total),
        counter("keepstore_malformed_requests_total", "Requests refused for their syntax.", s.refused_total),
        counter("keepstore_too_slow_requests_total", "Requests cut for the minimum transfer rate.", s.too_slow_total),
        counter("keepstore_header_timeouts_total", "Connections closed because no request head came in time.",
                s.header_timeouts_total),
        counter("keepstore_digest_bytes_total", "Bytes hashed.", d.bytes_total),
        counter("keepstore_digest_single_bytes_total", "Bytes hashed as a lone stream.", d.bytes_single_total),
        counter("keepstore_digest_passes_total", "SIMD hashing passes.", d.passes_total),
        counter("keepstore_digest_lanes_used_total", "Occupied lanes, summed over all passes.", d.lanes_used_total),
        gauge(
            "keepstore_digest_lanes_average", "Occupied lanes of a pass, on average since the start.",
            d.passes_total == 0 ? 0.0 : static_cast<double>(d.lanes_used_total) / static_cast<double>(d.passes_total))};
    const auto add_pool = [&](const std::string& name, const pool::buffer_pool::stats& of) {
        std::ranges::move(router::pool_samples(name, of), std::back_inserter(out));
    };
    add_pool("copy", store.copy_pool.snapshot());
    add_pool("scratch", store.scratch_pool.snapshot());
    add_pool("scrub_check", scrub.memory().checks);
    add_pool("scrub_repair", scrub.memory().repairs);
    std::ranges::move(router::scrub_samples(scrub.status().value()), std::back_inserter(out));
    std::ranges::move(peers.samples(), std::back_inserter(out));
    return out;
}

}  // namespace keepstore::daemon
