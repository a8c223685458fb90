/// Keys to sign with, and where they come from. A `credentials_source` fetches them once (s3/credential_sources.hpp);
/// `credentials_cache` keeps them, renews temporary ones five minutes before they expire with one fetch at a time,
/// goes on with the old ones while that runs or fails, and renews at once when the service rejects them.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "s3/sigv4.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::s3 {

struct credentials {
    signing_keys keys;
    std::optional<sys_seconds> expires_at;  ///< Absent: permanent.
    std::string source;                     ///< "environment", "profile keep", "instance role r": for logs.
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

/// Safe to call from any thread; coroutines resume on their own executor. No thread or timer of its own: the first
/// caller who finds the keys old fetches new ones, the others wait for it only if the old ones are no longer good.
class credentials_cache {
  public:
    explicit credentials_cache(std::unique_ptr<credentials_source> source, wall_clock now = system_wall_clock());

    /// Keys that are good now. Suspends only when there are none, or for the one caller who renews them.
    /// \returns error_kind::bad_credentials with the source's reason when there are none to be had.
    [[nodiscard]] awaitable<result<credentials>> get(deadline until);

    /// After the service rejected `rejected` (ExpiredToken, InvalidAccessKeyId): newer keys if somebody has fetched
    /// them meanwhile, or else the outcome of one fetch.
    /// \returns error_kind::expired_token if there are no other keys to be had.
    [[nodiscard]] awaitable<result<credentials>> renew(credentials rejected, deadline until);

    /// Fetches that were started, for tests and statistics.
    [[nodiscard]] std::uint64_t fetches() const;

  private:
    enum class freshness { good, aging, unusable };
    struct decision;
    class fetch_guard;

    [[nodiscard]] freshness judge() const;
    [[nodiscard]] decision decide(const std::optional<credentials>& rejected, bool waited, const one_shot<bool>& woken);
    [[nodiscard]] awaitable<result<credentials>> get_or_fetch(std::optional<credentials> rejected, deadline until);
    [[nodiscard]] awaitable<result<credentials>> fetch_for_all(bool rejected, deadline until);
    void finish_fetch(const result<credentials>& fetched, bool leader_left);

    const std::unique_ptr<credentials_source> source_;
    const wall_clock now_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::optional<credentials> held_;
    bool fetching_ = false;
    std::vector<one_shot<bool>> waiting_;  ///< Those who need the running fetch; woken with whether it brought keys.
    std::optional<error> last_error_;      ///< Of the last fetch, if it failed.
    deadline::clock::time_point no_fetch_before_{};  ///< After a failure, or after a fetch that brought nothing new.
    std::uint64_t fetches_ = 0;
};

}  // namespace keepstore::s3
