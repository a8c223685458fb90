/// How far a server is with its pull list and its trash list. Our daemon says it at /_work, with the token that lists
/// are sent with; of the Go daemon the queue gauges of /metrics are taken, if there is a management token.
#pragma once

#include "keepctl/cluster/keep_server.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

struct list_work {
    std::int64_t pending = 0;
    std::int64_t running = 0;
    std::string last_sha256 = {};  ///< Of the list that was taken last, in hex; empty: not known, or none.
    /// Items by outcome, since the server began. Nothing: it does not say.
    std::map<std::string, std::int64_t> outcomes = {};
};

struct server_work {
    std::string started_at = {};  ///< When the server began, as it says it.
    list_work pull;
    list_work trash;
};

/// Awaited in place. \returns nothing if the server does not say it; an error if it cannot be reached.
[[nodiscard]] awaitable<result<std::optional<server_work>>> ask_work(const keep_server& server, deadline until);

/// Parses the body of GET /_work, or of GET /metrics. Nothing if it is not that.
[[nodiscard]] std::optional<server_work> parse_work(std::string_view json);
[[nodiscard]] std::optional<server_work> work_of_metrics(std::string_view text);

}  // namespace keepstore::keepctl
