/// Fetches access tokens of a managed identity from the instance metadata service of an Azure virtual machine
/// (https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token).
#pragma once

#include "cloud/credentials/credentials.hpp"
#include "net/client/http_client.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace keepstore::azure {

struct identity_options {
    std::string client_id;  ///< Of a user-assigned identity; empty: the machine's only one.
    /// Replaced in tests and in closed networks with another token audience.
    std::string endpoint = "http://169.254.169.254";
    std::string resource = "https://storage.azure.com/";
    cloud::wall_clock now = cloud::system_wall_clock();
};

class managed_identity_source final : public cloud::credentials_source {
  public:
    managed_identity_source(identity_options options, net::client http)
        : options_(std::move(options)), http_(std::move(http)) {}

    [[nodiscard]] awaitable<result<cloud::credentials>> fetch(deadline until) override;

  private:
    const identity_options options_;
    const net::client http_;  ///< Without proxies: the service is on this host.
};

/// Makes the cache of tokens. errc::bad_request if the endpoint is no http URL.
[[nodiscard]] result<std::shared_ptr<cloud::credentials_cache>> make_managed_identity(identity_options options);

struct token_origin {
    std::string source;  ///< For logs.
    std::chrono::sys_time<std::chrono::milliseconds> now;
    std::chrono::milliseconds clock_offset{0};  ///< The service's clock minus ours.
};

/// Parses the JSON of a token: access_token, and expires_on (seconds since 1970) or expires_in, as texts or numbers.
[[nodiscard]] result<cloud::credentials> parse_access_token(std::string_view body, token_origin origin);

}  // namespace keepstore::azure
