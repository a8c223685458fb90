/// Fetches the keys of an EC2 instance's role from the instance metadata service, version 2 only: a session token
/// first, then the role's keys. Version 1 is not used: an attacker that can make this host send a GET gets the keys.
#pragma once

#include "s3/credentials/source_context.hpp"

#include <memory>
#include <string>

namespace keepstore::s3 {

class instance_metadata_source final : public credentials_source {
  public:
    /// \param role  its name; empty: the instance's only role.
    instance_metadata_source(std::shared_ptr<const source_context> context, std::string role)
        : context_(std::move(context)), role_(std::move(role)) {}

    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override;

  private:
    [[nodiscard]] awaitable<result<small_response>> get(net::endpoint to, std::string path, std::string token,
                                                        deadline until);

    const std::shared_ptr<const source_context> context_;
    const std::string role_;
};

}  // namespace keepstore::s3
