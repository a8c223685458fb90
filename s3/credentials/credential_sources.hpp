/// Credential chain, in the order of AWS's SDK for Go (which the Go daemon uses):
///   1. Configuration: AccessKeyID and SecretAccessKey, or the instance role IAMRole; then nothing else is tried.
///   2. Environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
///   3. Web identity: AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME (STS).
///   4. Shared files: ~/.aws/config and ~/.aws/credentials, profile AWS_PROFILE or "default".
///   5. Container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI (ECS, Fargate, EKS).
///   6. Instance: the role of the EC2 instance (IMDSv2).
/// The first source that is configured is used. If it fails, its error is returned: the chain does not go on to another
/// identity.
#pragma once

#include "s3/credentials/source_context.hpp"

#include <memory>
#include <string>

namespace keepstore::s3 {

struct credentials_config {
    std::string access_key_id;  ///< With the secret; not empty: no other source is used.
    secret_string secret_access_key;
    std::string keys_origin = "configuration";  ///< Where these two are, for the operator.
    std::string iam_role;                       ///< Not empty: the instance role of this name; no other source is used.
    std::string region;                         ///< The volume's, for STS.
    std::string ca_file;                        ///< For STS; empty: the system's authorities.
    net::proxy_rules proxies;  ///< For STS. Instance metadata and containers are always asked directly.
    environment env = process_environment();
    wall_clock now = system_wall_clock();
    /// The agent of ECS, at the same address in every task. Replaced in tests.
    std::string container_service = "http://169.254.170.2";
};

/// Makes the cache with the sources that the configuration selects. \returns errc::bad_request if only one half of a
/// key pair is given, or the authorities cannot be read.
[[nodiscard]] result<std::shared_ptr<credentials_cache>> make_credentials(credentials_config config);

/// Reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. errc::not_found.
[[nodiscard]] result<credentials> environment_keys(const environment& env);

}  // namespace keepstore::s3
