/// Fetches keys from the credential endpoint of a container: ECS and Fargate tasks, EKS Pod Identity.
#pragma once

#include "s3/credentials/source_context.hpp"

#include <memory>
#include <string>

namespace keepstore::s3 {

/// AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI, with the token of
/// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN sent as it is (EKS refuses "Bearer ").
/// A full URI must be https, or http to this host or one of the link-local addresses of ECS and EKS, since the token is
/// sent there.
[[nodiscard]] awaitable<result<credentials>> container_keys(std::shared_ptr<const source_context> context,
                                                            deadline until);

/// Returns whether a token may be sent to this host in clear text: to this machine, or to the link-local addresses of
/// ECS and EKS. The only name is "localhost": any other, such as 127.evil.example, may resolve to any address.
[[nodiscard]] bool is_trusted_host(const std::string& host);

}  // namespace keepstore::s3
