/// Locators of blocks that belong to other clusters (docs/interface.md 3.6). Value types and pure functions.
#pragma once

#include "protocol/locator.hpp"

#include <string>

namespace keepstore::protocol {

/// A read is remote when the locator has a hint that starts with R and none that starts with A.
[[nodiscard]] inline bool is_remote(const locator& block) noexcept {
    return block.remote && !block.signed_here;
}

struct remote_locator {
    std::string cluster_id;  ///< Of five characters.
    std::string text;        ///< The locator as that cluster signed it: with an A hint in the place of the R hint.
};

/// Replaces the first hint "R<id>-<signature>" by "A<signature>" and removes other R hints, so that the other cluster
/// does not pass the request on to a third one. \returns errc::bad_request "invalid remote hint" if there is none.
[[nodiscard]] result<remote_locator> parse_remote_locator(const locator&);

}  // namespace keepstore::protocol
