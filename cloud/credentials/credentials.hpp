/// Keys and tokens for requests. A `credentials_source` fetches them (s3/credentials/, azure/credentials/);
/// `credentials_cache` keeps them, renews temporary ones in the background five minutes before they expire, with one
/// fetch at a time, uses the old ones while that runs or fails, and renews at once when the service rejects them.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "cloud/secret.hpp"
#include "cloud/time.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace keepstore::cloud {

/// The keys that a request is signed with, or the token that it carries.
struct signing_keys {
    std::string access_key_id;  ///< Empty where there is only a token.
    secret_string secret_access_key;
    secret_string session_token;  ///< Of temporary keys, or the access token; empty for permanent keys.
};

struct credentials {
    signing_keys keys;
    std::optional<sys_seconds> expires_at;  ///< By the clock of their source. Absent: permanent.
    std::string source;                     ///< "environment", "profile keep", "instance role r": for logs.
    /// That clock minus ours, if known: a machine whose clock is wrong must neither fetch keys all the time nor use
    /// expired ones.
    std::chrono::milliseconds clock_offset{0};
};

class credentials_source {
  public:
    virtual ~credentials_source() = default;
    /// Fetches keys. Any thread, one call at a time. errc::not_found: this source is not configured (a chain tries the
    /// next one); any other error: it is configured and failed; the text says why.
    [[nodiscard]] virtual awaitable<result<credentials>> fetch(deadline until) = 0;
};

/// Wall-clock time of this machine; replaced in tests.
using wall_clock = std::function<std::chrono::sys_time<std::chrono::milliseconds>()>;
[[nodiscard]] wall_clock system_wall_clock();

/// Safe to call from any thread; coroutines resume on their own executor, and may outlive the cache. A call that needs
/// other keys starts a fetch, which runs on a thread of its own (cloud/credentials/credential_fetch.hpp) and is not
/// cancelled with the call.
class credentials_cache {
  public:
    explicit credentials_cache(std::unique_ptr<credentials_source> source, wall_clock now = system_wall_clock());
    /// Of keys that never change: those of the configuration.
    explicit credentials_cache(credentials permanent);
    /// Cancels a running fetch.
    ~credentials_cache();
    credentials_cache(const credentials_cache&) = delete;
    credentials_cache& operator=(const credentials_cache&) = delete;

    /// Returns keys that have not expired. Suspends only when there are none.
    /// \returns error_kind::bad_credentials with the source's reason when none can be fetched; errc::timeout.
    [[nodiscard]] awaitable<result<credentials>> get(deadline until);

    /// Returns other keys than `rejected`, which the service has rejected (ExpiredToken, InvalidAccessKeyId): those
    /// that were fetched meanwhile, or else the outcome of one fetch.
    /// \returns error_kind::expired_token if the source has no other keys; the source's reason; errc::timeout.
    [[nodiscard]] awaitable<result<credentials>> renew(credentials rejected, deadline until);

    /// Returns how many fetches were started, for tests and statistics. Keys that cannot change are not fetched.
    [[nodiscard]] std::uint64_t fetches() const;

  private:
    class shared;

    const std::shared_ptr<shared> shared_;
};

}  // namespace keepstore::cloud
