/// Locators of blocks that belong to other clusters (contract 7.1).
#pragma once

#include "keepstore/locator.hpp"

namespace keepstore::router {

/// A read is remote when the locator has a hint that starts with R and none that starts with A.
[[nodiscard]] inline bool is_remote(const core::locator& block) noexcept { return block.remote && !block.signed_here; }

/// Why a remote block cannot be read here: this service has no remote clusters, so it answers as the Go daemon does for a
/// cluster that is not configured. Always an error.
[[nodiscard]] error remote_read_error(const core::locator& block, bool has_token);

}  // namespace keepstore::router
