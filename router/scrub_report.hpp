/// Renders the state of scrubs for GET /_scrub and /metrics. Pure functions.
#pragma once

#include "router/metrics.hpp"
#include "store/scrub/scrub_status.hpp"

#include <string>
#include <vector>

namespace keepstore::router {

/// Returns {"scrubs":[{"mount":...},...]}; docs/scrub.md lists the fields.
[[nodiscard]] std::string scrub_json(const std::vector<store::scrub_status>&);

/// Returns the series keepstore_scrub_*, labelled with the mount.
[[nodiscard]] std::vector<metrics::sample> scrub_samples(const std::vector<store::scrub_status>&);

}  // namespace keepstore::router
