/// What a user's token looks like to another cluster (docs/interface.md 3.7). A pure function.
#pragma once

#include "base/error.hpp"

#include <string>
#include <string_view>

namespace keepstore::protocol {

/// "v2/uuid/secret" as `cluster_id` may see it: with the HMAC-SHA1 of the cluster's id under the secret in the secret's
/// place, so that it is good for that cluster only; as it is if the cluster has issued it.
/// \returns errc::bad_request "obsolete token format" for a token of version 1; errc::io_error "badly formatted token"
/// and "token already salted", for which the Go daemon answers 500. The texts hold nothing of the token.
[[nodiscard]] result<std::string> salt_token(std::string_view token, std::string_view cluster_id);

}  // namespace keepstore::protocol
