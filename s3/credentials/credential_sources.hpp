/// The chain of places where keys may be, in the order of AWS's SDK for Go (which the Go daemon uses): the environment,
/// a web identity, the shared files, a container's endpoint, the instance's role. The first that is configured counts:
/// if it fails, that is the error; the chain does not go on to other identities.
#pragma once

#include "s3/credentials/credential_http.hpp"

#include <memory>
#include <string>
#include <vector>

namespace keepstore::s3 {

struct credentials_config {
    std::string access_key_id;  ///< With the secret: these and no others.
    secret_string secret_access_key;
    std::string iam_role;  ///< Not empty: the instance's role of this name and nothing else.
    std::string region;    ///< The volume's, for STS.
    std::string ca_file;   ///< For STS; empty: the system's authorities.
    environment env = process_environment();
    wall_clock now = system_wall_clock();
    /// The agent of ECS, at an address of its own in each task. To be replaced in tests.
    std::string container_service = "http://169.254.170.2";
};

/// \returns errc::bad_request if only one half of a key pair is given, or the authorities cannot be read.
[[nodiscard]] result<std::shared_ptr<credentials_cache>> make_credentials(credentials_config config);

/// Keys of the configuration.
class static_source final : public credentials_source {
  public:
    explicit static_source(signing_keys keys) : keys_(std::move(keys)) {}
    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override;
    [[nodiscard]] bool can_change() const noexcept override { return false; }

  private:
    const signing_keys keys_;
};

/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
class environment_source final : public credentials_source {
  public:
    explicit environment_source(environment env) : env_(std::move(env)) {}
    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override;

  private:
    const environment env_;
};

class chain_source final : public credentials_source {
  public:
    explicit chain_source(std::vector<std::unique_ptr<credentials_source>> sources) : sources_(std::move(sources)) {}
    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override;

  private:
    const std::vector<std::unique_ptr<credentials_source>> sources_;
};

}  // namespace keepstore::s3
