/// Text in HTML. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace keepstore::router {

/// Returns `text` with & < > " ' replaced, for use between tags and in quoted attributes.
[[nodiscard]] std::string html_escaped(std::string_view text);

}  // namespace keepstore::router
