/// A token for requests that are permitted by a signature of the caller's own, whatever the token is.
#pragma once

#include <string>

namespace keepstore::protocol {

/// Returns 36 random letters and digits.
[[nodiscard]] std::string random_token();

}  // namespace keepstore::protocol
