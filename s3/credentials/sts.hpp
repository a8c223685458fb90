/// Fetches the keys of a role from AWS's Security Token Service, by other keys (AssumeRole) or by a token of an
/// identity provider (AssumeRoleWithWebIdentity: EKS service accounts).
#pragma once

#include "s3/credentials/source_context.hpp"

#include <memory>
#include <string>

namespace keepstore::s3 {

struct role_request {
    std::string role_arn;
    std::string session_name;  ///< Empty: one is made from the time.
    std::string external_id;   ///< AssumeRole only; empty: none.
    std::string duration;      ///< Seconds as text; empty: the role's default.
    std::string region;        ///< Empty: the context's.
};

/// Calls AssumeRole, signed with `keys`.
[[nodiscard]] awaitable<result<credentials>> assume_role(std::shared_ptr<const source_context> context,
                                                         role_request role, signing_keys keys, deadline until);

/// Calls AssumeRoleWithWebIdentity with the content of `token_file`, which is read for each call.
[[nodiscard]] awaitable<result<credentials>> assume_role_with_web_identity(
    std::shared_ptr<const source_context> context, role_request role, std::string token_file, deadline until);

/// Reads AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME.
[[nodiscard]] awaitable<result<credentials>> web_identity_keys(std::shared_ptr<const source_context> context,
                                                               deadline until);

/// Returns the URL of STS: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, or the region's. Never the legacy global one,
/// whatever AWS_STS_REGIONAL_ENDPOINTS is: it serves the oldest regions only, and the Go daemon's SDK does not use it
/// either.
[[nodiscard]] std::string sts_address(const environment& env, std::string_view region);

/// Returns the region whose STS is used: the role's, AWS_REGION, AWS_DEFAULT_REGION, the volume's, us-east-1.
[[nodiscard]] std::string sts_region(const environment& env, const std::string& of_role, const std::string& of_volume);

/// Returns the suffix of Amazon's host names for a region: "amazonaws.com", "amazonaws.com.cn" in China, and so on.
[[nodiscard]] std::string_view aws_domain(std::string_view region) noexcept;

}  // namespace keepstore::s3
