/// Renders the status page. Pure functions.
///
/// The page works without its script: all values are in it. An element with data-v (a JSON pointer into the document)
/// and data-f (a format of value_format.hpp) is a value that the script replaces by a newer one.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace keepstore::router {

/// The page with the values of status_values::gather().
[[nodiscard]] std::string status_html(const nlohmann::ordered_json& values);

/// The page that asks for the token. `problem` is shown, such as "this is not the ManagementToken".
[[nodiscard]] std::string status_login_html(std::string_view problem);

/// The Content-Security-Policy of both: nothing from elsewhere, and no script or style but theirs, named by hash.
[[nodiscard]] const std::string& status_content_policy();

}  // namespace keepstore::router
