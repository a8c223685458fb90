/// Errors of the HTTP client as errors of this module.
#pragma once

#include "cloud/error.hpp"

namespace keepstore::cloud {

/// Converts an error of net::client. Errors of a caller's body source stay as they are.
[[nodiscard]] error from_transport(error e);

}  // namespace keepstore::cloud
