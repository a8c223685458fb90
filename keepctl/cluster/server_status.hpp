/// What a server says of itself, gathered from its health, metrics and mounts. Works with less: what a server does not
/// have (the Go daemon), or we may not see (no management token), is absent.
#pragma once

#include "keepctl/cluster/keep_server.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::keepctl {

struct server_status {
    bool reachable = false;
    std::string problem;  ///< Why not, or why mounts are missing.
    std::optional<bool> ready;
    std::vector<std::string> reasons;  ///< For which it is not ready, or only partly.
    std::optional<std::string> version;
    std::optional<std::string> config_sha256;
    std::optional<std::chrono::seconds> clock_ahead;  ///< Of ours; within a second.
    std::optional<std::int64_t> requests;
    std::optional<std::int64_t> pulls_pending;
    std::optional<std::int64_t> pulls_running;
    std::optional<std::int64_t> trash_pending;
    std::optional<std::int64_t> trash_running;
    std::vector<mount_info> mounts;
};

/// Awaited in place or spawned. Never an error: see `problem`.
[[nodiscard]] awaitable<server_status> ask_status(const keep_server& server, deadline until);

/// The value of a metric in the text format of Prometheus, whatever its labels; and a label of it.
[[nodiscard]] std::optional<double> metric_value(std::string_view text, std::string_view name);
[[nodiscard]] std::optional<std::string> metric_label(std::string_view text, std::string_view name,
                                                      std::string_view label);

/// The reasons in the body of /_health/ready.
[[nodiscard]] std::vector<std::string> parse_reasons(std::string_view json);

}  // namespace keepstore::keepctl
