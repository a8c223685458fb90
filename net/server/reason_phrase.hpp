/// The standard reason phrases of status lines and of the log (RFC 9110 section 15; older wordings where Go has them).
#pragma once

#include <string_view>

namespace keepstore::net {

/// Returns the phrase; empty for 499 and all statuses that the server and the router do not give (docs/interface.md
/// 2.3).
[[nodiscard]] std::string_view reason_phrase(unsigned status) noexcept;

}  // namespace keepstore::net
