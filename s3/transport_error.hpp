/// Errors of the HTTP client in the words of this module.
#pragma once

#include "s3/error.hpp"

namespace keepstore::s3 {

/// What `e`, an error of net::client, means here. Errors of a caller's body source stay as they are.
[[nodiscard]] error from_transport(error e);

}  // namespace keepstore::s3
