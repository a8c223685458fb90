/// Metrics of a run, in a file for the textfile collector of Prometheus' node exporter. Used by one thread.
#pragma once

#include "base/error.hpp"
#include "keepctl/cluster/exit_code.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

struct run_metrics {
    std::string command;
    std::string job;
    std::chrono::sys_seconds started{};
    std::optional<std::chrono::sys_seconds> completed = {};     ///< Absent while it runs.
    std::optional<std::chrono::sys_seconds> last_success = {};  ///< Of this run, or of an earlier one.
    std::optional<exit_code> code = {};
    double duration_seconds = 0;
    std::vector<std::pair<std::string_view, std::uint64_t>> blocks = {};  ///< By outcome.
    std::uint64_t bytes_copied = 0;
    std::vector<std::pair<std::string_view, std::uint64_t>> shards = {};  ///< By state.
    std::string more = {};                                                ///< Of the command, in the same format.
};

/// The text format of Prometheus, without timestamps.
[[nodiscard]] std::string to_text(const run_metrics& metrics);

class metrics_file {
  public:
    /// An empty path: nothing is written. Reads when the last run succeeded from the file that is there.
    explicit metrics_file(std::string path);
    /// Replaces the file. The time of the last success is added where the run has none.
    [[nodiscard]] result<void> write(run_metrics metrics) const;
    [[nodiscard]] explicit operator bool() const noexcept { return !path_.empty(); }

  private:
    const std::string path_;
    std::optional<std::chrono::sys_seconds> last_success_;
};

}  // namespace keepstore::keepctl
