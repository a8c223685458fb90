/// What the sources of AWS credentials share: their context, and the JSON of their services.
#pragma once

#include "base/blocking_pool.hpp"
#include "cloud/credentials/credential_http.hpp"
#include "s3/cloud_names.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace keepstore::s3 {

/// Context of the sources of one cache. Constant after construction.
struct source_context {
    environment env;
    std::string region;  ///< For STS, if the profile has none.
    wall_clock now;
    /// The base of AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.
    std::string container_service;
    net::client http;  ///< For services of this host, which no proxy leads to.
    net::client sts;
    std::unique_ptr<blocking_pool> threads;  ///< For files, which may be on a network file system, and commands.
};

/// Makes the error of a source that is configured and gives no keys.
[[nodiscard]] std::unexpected<error> refused(std::string_view what);

/// Parses keys as JSON: AccessKeyId, SecretAccessKey, Token or SessionToken, Expiration (instance metadata, containers,
/// credential_process). Expiration is required if `temporary`; it is by the clock that is `clock_offset` ahead of ours.
[[nodiscard]] result<credentials> parse_json_credentials(std::string_view body, std::string source, bool temporary,
                                                         std::chrono::milliseconds clock_offset = {});

}  // namespace keepstore::s3
