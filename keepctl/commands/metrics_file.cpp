#include "keepctl/commands/metrics_file.hpp"

#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "keepctl/cluster/server_status.hpp"

#include <fmt/format.h>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view last_success_name = "keepctl_run_last_success_timestamp_seconds";

/// A value of a label: --job is the operator's text.
std::string label_value(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\' || c == '"') out += '\\';
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

class metrics_text {
  public:
    explicit metrics_text(const run_metrics& m)
        : labels_(fmt::format("command=\"{}\",job=\"{}\"", label_value(m.command), label_value(m.job))) {}

    void gauge(std::string_view name, std::string_view help, auto value) {
        begin(name, help, "gauge");
        text_ += fmt::format("{}{{{}}} {}\n", name, labels_, value);
    }
    void begin(std::string_view name, std::string_view help, std::string_view kind) {
        text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, kind);
    }
    void sample(std::string_view name, std::string_view label, std::string_view value_of_label, std::uint64_t value) {
        text_ += fmt::format("{}{{{},{}=\"{}\"}} {}\n", name, labels_, label, value_of_label, value);
    }
    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    const std::string labels_;
    std::string text_;
};

}  // namespace

std::string to_text(const run_metrics& m) {
    const auto seconds = [](std::chrono::sys_seconds at) { return at.time_since_epoch().count(); };
    metrics_text out(m);
    out.gauge("keepctl_run_started_timestamp_seconds", "When the last run began.", seconds(m.started));
    if (m.completed) out.gauge("keepctl_run_completed_timestamp_seconds", "When it ended.", seconds(*m.completed));
    if (m.last_success)
        out.gauge(last_success_name, "When a run last ended with exit code 0 or 9.", seconds(*m.last_success));
    if (m.code) out.gauge("keepctl_run_exit_code", "Exit code of the last run.", static_cast<int>(*m.code));
    out.gauge("keepctl_run_duration_seconds", "How long it took, or has been running.", m.duration_seconds);
    out.begin("keepctl_blocks_total", "Blocks of the last run, by outcome.", "counter");
    for (const auto& [outcome, n] : m.blocks) out.sample("keepctl_blocks_total", "outcome", outcome, n);
    out.begin("keepctl_bytes_total", "Bytes of blocks of the last run, by outcome.", "counter");
    out.sample("keepctl_bytes_total", "outcome", "copied", m.bytes_copied);
    out.begin("keepctl_shards", "Shards of the last run, by state.", "gauge");
    for (const auto& [state, n] : m.shards) out.sample("keepctl_shards", "state", state, n);
    return out.take() + m.more;
}

metrics_file::metrics_file(std::string path) : path_(std::move(path)) {
    if (path_.empty()) return;
    const auto old = read_file(path_, limits::checkpoint_bytes_max);
    if (!old) return;
    if (const auto at = metric_value(*old, last_success_name); at && *at > 0 && *at < 1e11)
        last_success_ = std::chrono::sys_seconds(std::chrono::seconds(static_cast<std::int64_t>(*at)));
}

result<void> metrics_file::write(run_metrics metrics) const {
    if (path_.empty()) return success();
    if (!metrics.last_success) metrics.last_success = last_success_;
    // The node exporter is another user.
    KS_CHECK(replace_file(path_, to_text(metrics), 0644));
    return success();
}

}  // namespace keepstore::keepctl
