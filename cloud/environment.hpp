/// The environment of the process, replaced in tests.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::cloud {

/// Environment variables; absent and empty are the same.
using environment = std::function<std::optional<std::string>(std::string_view name)>;
[[nodiscard]] environment process_environment();

}  // namespace keepstore::cloud
