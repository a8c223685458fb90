/// Keys to sign with, and where they come from. A `credentials_source` fetches them once
/// (s3/credentials/credential_sources.hpp); `credentials_cache` keeps them, renews temporary ones five minutes before
/// they expire with one fetch at a time beside its callers, goes on with the old ones while that runs or fails, and
/// renews at once when the service rejects them.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "s3/sigv4.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace keepstore::s3 {

struct credentials {
    signing_keys keys;
    std::optional<sys_seconds> expires_at;  ///< By the clock of who gave them. Absent: permanent.
    std::string source;                     ///< "environment", "profile keep", "instance role r": for logs.
    /// That clock minus ours, where it is known: a machine whose clock is wrong must neither ask for keys all the time
    /// nor go on with those whose time is over.
    std::chrono::milliseconds clock_offset{0};
};

class credentials_source {
  public:
    virtual ~credentials_source() = default;
    /// Asks the origin. Any thread, one call at a time. errc::not_found: this source is not configured here (a chain
    /// goes on with the next one); anything else: it is, and failed, in plain words.
    [[nodiscard]] virtual awaitable<result<credentials>> fetch(deadline until) = 0;
    /// Whether a later fetch could give something else. False for keys of the configuration.
    [[nodiscard]] virtual bool can_change() const noexcept { return true; }
};

/// Wall-clock time of this machine, to be replaced in tests.
using wall_clock = std::function<std::chrono::sys_time<std::chrono::milliseconds>()>;
[[nodiscard]] wall_clock system_wall_clock();

/// Safe to call from any thread; coroutines resume on their own executor, and may outlive the cache. A fetch starts
/// when a caller finds that one is needed, runs on a thread of its own (s3/credentials/credential_fetch.hpp), and goes
/// on without that caller.
class credentials_cache {
  public:
    explicit credentials_cache(std::unique_ptr<credentials_source> source, wall_clock now = system_wall_clock());
    /// Ends a fetch under way.
    ~credentials_cache();
    credentials_cache(const credentials_cache&) = delete;
    credentials_cache& operator=(const credentials_cache&) = delete;

    /// Keys that are good now. Suspends only when there are none.
    /// \returns error_kind::bad_credentials with the source's reason when there are none to be had; errc::timeout.
    [[nodiscard]] awaitable<result<credentials>> get(deadline until);

    /// After the service rejected `rejected` (ExpiredToken, InvalidAccessKeyId): newer keys if somebody has fetched
    /// them meanwhile, or else the outcome of one fetch.
    /// \returns error_kind::expired_token if there are no other keys to be had; the source's reason; errc::timeout.
    [[nodiscard]] awaitable<result<credentials>> renew(credentials rejected, deadline until);

    /// Fetches that were started, for tests and statistics. Keys that cannot change are not fetched.
    [[nodiscard]] std::uint64_t fetches() const;

  private:
    class shared;

    const std::shared_ptr<shared> shared_;
};

}  // namespace keepstore::s3
