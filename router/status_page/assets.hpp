/// The style and the script of the status page: page.css and page.js, as CMake found them.
#pragma once

#include <string_view>

namespace keepstore::router {

extern const std::string_view status_style;
extern const std::string_view status_script;

}  // namespace keepstore::router
