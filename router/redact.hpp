/// Removes permission signatures and tokens from what a client sent before it is logged or shown. Stricter than
/// log::redact_target, on which it builds: a decoded path may contain a question mark, and a query a signature.
#pragma once

#include <string>
#include <string_view>

namespace keepstore::router {

/// A decoded path, or any text that may contain a locator.
[[nodiscard]] std::string redact_text(std::string_view text);
/// A raw query without its question mark.
[[nodiscard]] std::string redact_query(std::string_view query);
/// A raw request target.
[[nodiscard]] std::string redact_target(std::string_view target);

}  // namespace keepstore::router
