/// Removes permission signatures and tokens from texts of clients before they are logged or shown. Stricter than
/// log::redact_target, on which it builds: a decoded path may contain a question mark, and a query a signature.
#pragma once

#include <string>
#include <string_view>

namespace keepstore::router {

/// Redacts a decoded path, or any text that may contain a locator.
[[nodiscard]] std::string redact_text(std::string_view text);
/// Redacts a raw query without its question mark.
[[nodiscard]] std::string redact_query(std::string_view query);
/// Redacts a raw request target.
[[nodiscard]] std::string redact_target(std::string_view target);

}  // namespace keepstore::router
