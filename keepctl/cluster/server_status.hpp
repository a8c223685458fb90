/// What a server says of itself, gathered from its health, metrics and mounts. Works with less: what a server does not
/// have (the Go daemon), or we may not see (no management token), is absent.
#pragma once

#include "keepctl/cluster/keep_server.hpp"
#include "keepctl/cluster/metric_text.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// What the metrics say of a mount.
struct mount_status {
    std::optional<std::string> health;  ///< "healthy", "slow", ..., of reads or writes, whichever is worse.
    std::optional<std::int64_t> free_bytes;
    std::optional<std::int64_t> scrub_percent;  ///< While a scrub runs.
    std::optional<std::int64_t> irreparable;    ///< Bad copies without a good one; absent: no scrub is known.
};

struct server_status {
    bool reachable = false;
    std::string problem;  ///< Why not, or why mounts are missing.
    std::optional<bool> ready;
    std::vector<std::string> reasons;  ///< For which it is not ready, or only partly.
    std::optional<std::string> version;
    std::optional<std::string> config_sha256;
    std::optional<std::chrono::seconds> clock_ahead;  ///< Of ours; see clock_ahead().
    std::optional<std::int64_t> requests;
    std::optional<std::int64_t> oldest_request_seconds;
    std::optional<std::int64_t> pulls_pending;
    std::optional<std::int64_t> pulls_running;
    std::optional<std::int64_t> trash_pending;
    std::optional<std::int64_t> trash_running;
    std::vector<mount_info> mounts;
    std::map<std::string, mount_status> mount_states;  ///< By UUID.
};

/// Awaited in place or spawned. Never an error: see `problem`.
[[nodiscard]] awaitable<server_status> ask_status(const keep_server& server, deadline until);

/// The reasons in the body of /_health/ready.
[[nodiscard]] std::vector<std::string> parse_reasons(std::string_view json);

}  // namespace keepstore::keepctl
