/// The turns of a volume's downloads: which of them may have a GET under way. A slow reader makes its GET last for
/// minutes. Meanwhile that holds a connection, and a place at the service, which may have few: radosgw takes 1,024
/// requests at a time (rgw_max_concurrent_requests) and responds to more with SlowDown. So that any number of slow
/// readers is served, a download whose readers want nothing at the moment gives its turn to one that waits, and
/// continues with a ranged GET when it has a turn again.
///
///     KS_CO_TRY(auto mine, co_await turns.take(until));
///     ...                                    // A GET. Whenever its readers pause:
///     if (turns.is_over(mine)) ...           // ends it, destroys the turn, and takes another one before it continues.
///
/// The number of turns follows the service (additive increase, multiplicative decrease): it falls when the service
/// throttles, to less than there were then, and rises again later.
///
/// First come, first served, among those that begin and among those that continue. Safe to use from any thread.
/// Outlives its turns and every wait for one.
#pragma once

#include "base/async.hpp"
#include "base/async_semaphore.hpp"
#include "base/deadline.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/place.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {

/// How many blocks are downloaded at a time, and for how long a slow one keeps its turn while others wait.
struct download_limits {
    std::size_t most = 0;  ///< 0: by the number of connections.
    std::size_t least = limits::cloud_downloads_min;
    std::chrono::milliseconds turn = limits::cloud_download_turn;
};

class download_turns {
  public:
    using clock = deadline::clock;

    struct options {
        std::size_t most = 1;
        std::size_t least = limits::cloud_downloads_min;
        /// How many requests the service has throttled so far.
        std::function<std::uint64_t()> throttles = [] { return std::uint64_t{0}; };
        place where = {};  ///< For the log.
        clock::duration length = limits::cloud_download_turn;
        clock::duration fewer_interval = limits::cloud_downloads_fewer_interval;
        clock::duration more_after = limits::cloud_downloads_more_after;
    };
    explicit download_turns(options);

    /// Given back on destruction.
    class turn {
      public:
        turn() = default;
        turn(turn&& other) noexcept
            : home_(std::exchange(other.home_, nullptr)), permit_(std::move(other.permit_)), began_(other.began_) {}
        turn& operator=(turn&& other) noexcept {
            turn taken(std::move(other));
            std::swap(home_, taken.home_);
            std::swap(permit_, taken.permit_);
            std::swap(began_, taken.began_);
            return *this;
        }
        ~turn() {
            if (home_) home_->give_back(std::move(permit_));
        }

      private:
        friend class download_turns;
        turn(download_turns& home, async_semaphore::permit permit)
            : home_(&home), permit_(std::move(permit)), began_(clock::now()) {}
        download_turns* home_ = nullptr;
        async_semaphore::permit permit_;
        clock::time_point began_{};
    };

    /// A download that begins comes before those that have paused, except for a few: its client has got nothing yet,
    /// and waits for cloud_call_timeout only.
    enum class claim { first, again };
    /// Waits for a turn. Awaited in place. \returns errc::timeout, errc::cancelled.
    [[nodiscard]] awaitable<result<turn>> take(claim, deadline until);
    /// Whether others wait and this turn has lasted for its time.
    [[nodiscard]] bool is_over(const turn&) const;

    /// For how long a turn is kept while others wait.
    [[nodiscard]] clock::duration length() const noexcept { return options_.length; }
    /// Whether the downloads under way or waiting are enough to be the reason why the service throttles: then a
    /// throttled one is worth another turn.
    [[nodiscard]] bool are_many() const;
    /// How many there may be at present.
    [[nodiscard]] std::size_t limit() const;

    /// The service does not know ranges: a download that has paused could not continue, so no turn is ever over.
    void never_pause() noexcept { pausing_.store(false, std::memory_order_relaxed); }
    [[nodiscard]] bool may_pause() const noexcept { return pausing_.load(std::memory_order_relaxed); }

  private:
    void give_back(async_semaphore::permit) noexcept;
    void follow_service();

    const options options_;
    async_semaphore free_;
    async_semaphore again_;  // Places among the waiters of free_ for downloads that continue.
    std::atomic<bool> pausing_{true};
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::size_t limit_;
    std::size_t in_use_ = 0;
    std::vector<async_semaphore::permit> withheld_;  // Permits beyond the limit, as far as they have come back.
    std::uint64_t throttles_seen_ = 0;
    std::optional<clock::time_point> changed_at_;  // The last throttling that counted, or the last increase.
};

}  // namespace keepstore::volumes::cloud
