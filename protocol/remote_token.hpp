/// Salting: how a user's token is shown to another cluster (docs/interface.md 3.7). A pure function.
#pragma once

#include "base/error.hpp"

#include <string>
#include <string_view>

namespace keepstore::protocol {

/// Salts "v2/uuid/secret" for `cluster_id`: the secret becomes HMAC-SHA1(key = secret, cluster_id) in hex, which is
/// good for that cluster only. The token is unchanged if that cluster has issued it.
/// \returns errc::bad_request "obsolete token format" for a token of version 1; errc::io_error "badly formatted token"
/// and "token already salted", to which the Go daemon responds with 500. The texts contain nothing of the token.
[[nodiscard]] result<std::string> salt_token(std::string_view token, std::string_view cluster_id);

}  // namespace keepstore::protocol
