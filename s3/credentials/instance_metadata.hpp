/// Fetches the keys of an EC2 instance's role from the instance metadata service, version 2 only: a session token
/// first, then the role's keys. Version 1 is not used: an attacker that can make this host send a GET gets the keys.
#pragma once

#include "s3/credentials/source_context.hpp"

#include <memory>
#include <string>

namespace keepstore::s3 {

/// \param role  its name; empty: the instance's only role.
[[nodiscard]] awaitable<result<credentials>> instance_role_keys(std::shared_ptr<const source_context> context,
                                                                std::string role, deadline until);

}  // namespace keepstore::s3
