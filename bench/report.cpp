#include "bench/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace keepstore::bench {

namespace {

constexpr double bytes_per_gib = 1024.0 * 1024.0 * 1024.0;
constexpr double bytes_per_mib = 1024.0 * 1024.0;

double mib(std::uint64_t bytes) {
    return static_cast<double>(bytes) / bytes_per_mib;
}

bool is_used(const group_stats& group) {
    return group.good + group.failed() + group.body_bytes > 0;
}

struct totals {
    std::uint64_t operations = 0;
    std::uint64_t bytes = 0;
};

// CPU is shared by everything that the server did, also for slow connections.
totals totals_of(const window_stats& stats) {
    totals sum;
    for (const auto& group : stats.groups) {
        sum.operations += group.good + group.failed();
        sum.bytes += group.body_bytes;
    }
    return sum;
}

double per_gib(double cpu_seconds, std::uint64_t bytes) {
    return bytes == 0 ? 0 : cpu_seconds * bytes_per_gib / static_cast<double>(bytes);
}

double us_per_operation(double cpu_seconds, std::uint64_t operations) {
    return operations == 0 ? 0 : cpu_seconds * 1e6 / static_cast<double>(operations);
}

std::string latency_text(const histogram& h) {
    return fmt::format("p50 {:.2f} p99 {:.2f} max {:.2f} ms", h.quantile_ms(0.5), h.quantile_ms(0.99), h.max_ms());
}

std::string group_text(const char* name, const group_stats& group, double seconds) {
    const auto latency = group.all_sizes();
    auto text =
        fmt::format("  {:<13} {} ok ({:.1f}/s), {:.1f} MB/s, {}; first byte {}\n", name, group.good,
                    static_cast<double>(group.good) / seconds, static_cast<double>(group.body_bytes) / 1e6 / seconds,
                    latency_text(latency.whole), latency_text(latency.first_byte));
    std::size_t classes = 0;
    for (const auto& part : group.by_size) classes += part.whole.count() > 0 ? 1 : 0;
    for (std::size_t i = 0; classes > 1 && i < size_class_count; ++i) {
        const auto& part = group.by_size[i];
        text += fmt::format("    {:<11} {} ok, {}; first byte {}\n", name_of(static_cast<size_class>(i)),
                            part.whole.count(), latency_text(part.whole), latency_text(part.first_byte));
    }
    for (const auto& [cause, times] : group.failures) text += fmt::format("    FAILED      {} x {}\n", times, cause);
    if (!group.failure_example.empty()) text += fmt::format("    for example: {}\n", group.failure_example);
    return text;
}

nlohmann::json latency_json(const histogram& h) {
    return {{"p50_ms", h.quantile_ms(0.5)},
            {"p90_ms", h.quantile_ms(0.9)},
            {"p99_ms", h.quantile_ms(0.99)},
            {"max_ms", h.max_ms()}};
}

nlohmann::json group_json(const group_stats& group, double seconds) {
    const auto latency = group.all_sizes();
    nlohmann::json out{{"ok", group.good},
                       {"failed", group.failed()},
                       {"failures", group.failures},
                       {"ops_per_s", static_cast<double>(group.good) / seconds},
                       {"body_bytes", group.body_bytes},
                       {"mb_per_s", static_cast<double>(group.body_bytes) / 1e6 / seconds},
                       {"latency", latency_json(latency.whole)},
                       {"first_byte", latency_json(latency.first_byte)}};
    if (!group.failure_example.empty()) out["failure_example"] = group.failure_example;
    for (std::size_t i = 0; i < size_class_count; ++i) {
        const auto& part = group.by_size[i];
        if (part.whole.count() == 0) continue;
        auto& by_size = out["by_size"][name_of(static_cast<size_class>(i))];
        by_size = latency_json(part.whole);
        by_size["ok"] = part.whole.count();
        by_size["first_byte"] = latency_json(part.first_byte);
    }
    return out;
}

/// Bytes/s of the client at this place among all, the slowest first.
double client_rate(const load_result& result, double fraction) {
    if (result.client_bytes.empty()) return 0;
    const auto last = static_cast<double>(result.client_bytes.size() - 1);
    return static_cast<double>(result.client_bytes[static_cast<std::size_t>(last * fraction)]) /
           result.windows.back().seconds;
}

std::int64_t without_bytes(const load_result& result) {
    return std::ranges::count(result.client_bytes, 0U);
}

}  // namespace

std::string report_text(const load_options& options, const load_result& result) {
    std::string text;
    for (const auto& window : result.windows) {
        text += fmt::format("{}{}{} connections, {:.2f} s, {}; client CPU {:.2f} s\n", options.label,
                            options.label.empty() ? "" : ": ", options.connections, window.seconds, window.name,
                            window.client_cpu_seconds);
        for (std::size_t i = 0; i < role_count; ++i) {
            const auto& group = window.stats.groups[i];
            if (is_used(group)) text += group_text(name_of(static_cast<role>(i)), group, window.seconds);
        }
        if (options.rate > 0) {
            text += fmt::format("  all TCP       {} sockets, {:.0f} MiB in the kernel\n", window.sockets.sockets_peak,
                                mib(window.sockets.bytes_peak));
        }
        if (!window.server) continue;
        const auto& s = *window.server;
        const double cpu = s.user_seconds + s.system_seconds;
        const auto sum = totals_of(window.stats);
        text += fmt::format(
            "  server        CPU {:.2f} s user + {:.2f} s system = {:.3f} CPU-s/GiB, {:.0f} us/op; "
            "resident peak {:.0f} MiB (anonymous {:.0f}), {} threads, {} descriptors\n",
            s.user_seconds, s.system_seconds, per_gib(cpu, sum.bytes), us_per_operation(cpu, sum.operations),
            mib(s.rss_peak_bytes), mib(s.rss_anon_peak_bytes), s.threads_peak, s.descriptors_peak);
    }
    if (const auto& clients = result.client_bytes; options.rate > 0 && !clients.empty()) {
        text += fmt::format("  per client    {:.0f} B/s least, {:.0f} at 1%, {:.0f} at 50%, {} got nothing\n",
                            client_rate(result, 0), client_rate(result, 0.01), client_rate(result, 0.5),
                            without_bytes(result));
    }
    for (const auto r : {role::slow_reader, role::slow_writer, role::slow_header, role::idle}) {
        const auto open = result.open_at_end[static_cast<std::size_t>(r)];
        if (options.has_slow()) text += fmt::format("  {:<13} {} open at the end\n", name_of(r), open);
    }
    return text;
}

std::string report_json(const load_options& options, const load_result& result) {
    nlohmann::json out{{"label", options.label},
                       {"connections", options.connections},
                       {"threads", options.threads},
                       {"seed", options.seed}};
    for (const auto& window : result.windows) {
        nlohmann::json w{{"name", window.name},
                         {"seconds", window.seconds},
                         {"client_cpu_s", window.client_cpu_seconds},
                         {"tcp_sockets_peak", window.sockets.sockets_peak},
                         {"tcp_memory_peak_bytes", window.sockets.bytes_peak}};
        for (std::size_t i = 0; i < role_count; ++i) {
            const auto& group = window.stats.groups[i];
            if (is_used(group)) w["groups"][name_of(static_cast<role>(i))] = group_json(group, window.seconds);
        }
        if (window.server) {
            const auto& s = *window.server;
            const double cpu = s.user_seconds + s.system_seconds;
            const auto sum = totals_of(window.stats);
            w["server"] = {{"cpu_user_s", s.user_seconds},
                           {"cpu_system_s", s.system_seconds},
                           {"cpu_s", cpu},
                           {"cpu_s_per_gib", per_gib(cpu, sum.bytes)},
                           {"cpu_us_per_op", us_per_operation(cpu, sum.operations)},
                           {"rss_start_bytes", s.rss_start_bytes},
                           {"rss_peak_bytes", s.rss_peak_bytes},
                           {"rss_anon_peak_bytes", s.rss_anon_peak_bytes},
                           {"threads_peak", s.threads_peak},
                           {"descriptors_peak", s.descriptors_peak}};
        }
        out["windows"].push_back(std::move(w));
    }
    for (std::size_t i = 0; i < role_count; ++i) {
        if (i == static_cast<std::size_t>(role::writer)) continue;
        out["open_at_end"][name_of(static_cast<role>(i))] = result.open_at_end[i];
    }
    out["clients"] = {{"bytes_per_s_min", client_rate(result, 0)},
                      {"bytes_per_s_p1", client_rate(result, 0.01)},
                      {"bytes_per_s_p50", client_rate(result, 0.5)},
                      {"without_bytes", without_bytes(result)}};
    return out.dump();
}

}  // namespace keepstore::bench
