/// Circuit breaker of a volume: while the cloud service is down, calls fail at once instead of each waiting for it, and
/// a missing bucket or wrong keys are reported before the first request meets them.
///
///               probe succeeds, or is throttled
///          ┌──────────────────────────────────────────────────────────────┐
///          ▼                                                              │
///      ┌────────┐  suspicious, and a probe finds an outage            ┌───┴──┐
///   ──►│ CLOSED ├────────────────────────────────────────────────────►│ OPEN │
///      └─┬──────┘                                                     └─┬────┘
///        │  ▲                                                           │  ▲
///        │  │ probe succeeds, or is throttled                           │  │ probe finds an outage
///        ▼  │                                                           ▼  │
///      ┌────┴───────────────────────────────────────────────────────────────┴─┐
///      │ REFUSED: a probe is told that the bucket or the credentials are wrong │
///      └──────────────────────────────────────────────────────────────────────┘
///
///   CLOSED   Calls pass; health() is empty, unless they stall. It is suspicious before the first probe has an outcome,
///            after cloud_outage_failures consecutive failures of the kind that an outage brings, and while calls are
///            pending of which none made progress for cloud_silence_max. Quick probes run then. Suspicion alone changes
///            nothing for the calls: a single object that always fails, or a connection pool that is used up, is no
///            outage.
///   OPEN     Calls fail at once with errc::unavailable, and those under way were cancelled when it opened. The only
///            requests are the probes, quick and long ones. (Other breakers call this "half-open".)
///   REFUSED  Calls pass and get that response; health() is the reason. Patient probes only,
///   cloud_refused_probe_interval
///            apart.
///
/// An outage is a failed connection, a server error, a response that is not the service's, a bad certificate, or a
/// timeout; throttling is none, nor is anything that it says about an object. Of timeouts it takes
/// cloud_probe_timeouts_min in a row, during which no call made progress, and only quick probes count: a long one,
/// concurrently, is for services that are slow (a slow name server, a bucket under recovery), which quick ones alone
/// would keep down for ever.
///
/// A bucket that may be read and written and not listed is CLOSED, with a warning. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/async_condition.hpp"
#include "base/deadline.hpp"
#include "volumes/cloud/place.hpp"
#include "volumes/cloud/protocol.hpp"
#include "volumes/volume.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::volumes::cloud {

class circuit_breaker {
  public:
    /// \param where  for texts.
    /// \param diagnosis  a command that diagnoses the bucket, for the log; may be empty.
    explicit circuit_breaker(place where, std::string diagnosis = {})
        : where_(std::move(where)), diagnosis_(std::move(diagnosis)) {}

    [[nodiscard]] const place& where() const noexcept { return where_; }

    /// errc::unavailable with the reason while it is open.
    [[nodiscard]] result<void> allow() const;
    /// CLOSED is healthy, or stalled from a silence of pending calls on until something moves, also when these calls
    /// were cancelled meanwhile; OPEN and REFUSED are failing.
    [[nodiscard]] volume_state volume_health();
    /// Empty while it is healthy, or the reason in plain words.
    [[nodiscard]] std::string health();

    /// A call that is under way, for as long as this lives.
    class pending_call {
      public:
        explicit pending_call(circuit_breaker& owner);
        ~pending_call();
        pending_call(const pending_call&) = delete;
        pending_call& operator=(const pending_call&) = delete;

      private:
        circuit_breaker& owner_;
    };

    /// Bytes were received or sent, or a call ended well.
    void note_progress() noexcept { last_progress_.store(clock::now(), std::memory_order_relaxed); }
    /// Counts the outcome of a call.
    template <class T>
    void note(const result<T>& outcome) {
        if (outcome)
            succeeded();
        else
            failed(outcome.error());
    }

    /// Asks whether the bucket can be used. \returns empty if so; the reason if it can, but not be listed.
    using probe_type = std::function<awaitable<result<std::string>>(deadline)>;
    /// Sends quick probes where they are due. Runs until it is cancelled. `opened` is called whenever the breaker has
    /// opened, to cancel the calls that are under way.
    [[nodiscard]] static awaitable<result<void>> monitor(std::shared_ptr<circuit_breaker> self, probe_type probe,
                                                         std::function<void()> opened);
    /// The same with long probes, one at a time, concurrently with monitor().
    [[nodiscard]] static awaitable<result<void>> monitor_slowly(std::shared_ptr<circuit_breaker> self, probe_type probe,
                                                                std::function<void()> opened);

  private:
    enum class state { closed, open, refused };
    using clock = deadline::clock;

    void succeeded();
    void failed(const error& why);

    [[nodiscard]] awaitable<result<void>> quick_probe_due();
    [[nodiscard]] bool long_probe_due() const;
    [[nodiscard]] bool is_refused() const;
    /// Whether the outcome of a quick probe that was sent at `begun` counts: a single timeout does not.
    [[nodiscard]] bool is_conclusive(const result<std::string>& quick, clock::time_point begun);

    /// Changes the state by the outcome of a probe. \returns whether it opened.
    [[nodiscard]] bool probed(const result<std::string>& outcome);

    // With the mutex held.
    [[nodiscard]] bool silent() const noexcept;
    [[nodiscard]] bool stalled() const noexcept;
    /// Whether it is stalled, also by a silence that nothing has met before.
    [[nodiscard]] bool found_stalled() noexcept;
    [[nodiscard]] bool suspicious() const noexcept;
    void close(const std::optional<std::string>& why_not_listed);
    void log_listing(const std::string& why_not_listed, bool was_closed);
    [[nodiscard]] bool fail_probe(const error& why);
    void complain(const error& why) const;

    const place where_;
    const std::string diagnosis_;

    /// Apart from the state, since each piece of each body sets it.
    std::atomic<clock::time_point> last_progress_{clock::time_point{}};

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    state state_ = state::closed;
    bool probed_ = false;                             ///< A probe has had an outcome.
    unsigned failures_ = 0;                           ///< Consecutive, of the kind that an outage brings.
    unsigned pending_ = 0;                            ///< Calls.
    clock::time_point pending_since_;                 ///< When pending_ last left 0.
    std::optional<clock::time_point> stalled_at_;     ///< When a silence was met.
    std::optional<clock::time_point> probing_since_;  ///< When the first quick probe in a row began.
    unsigned probe_timeouts_ = 0;                     ///< Quick probes, in a row.
    std::string trouble_;                             ///< The reason, unless closed.
    error_kind trouble_kind_{};
    bool reported_usable_ = false;  ///< In the log.
    bool reported_unlisted_ = false;
    async_condition became_suspicious_{mutex_};
};

}  // namespace keepstore::volumes::cloud
