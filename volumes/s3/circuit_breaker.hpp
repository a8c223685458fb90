/// Whether the service answers, so that an outage costs a few requests a wait and all others none, and so that a
/// missing bucket or wrong keys are said before the first request meets them.
///
/// It begins with a probe (a listing of one key, since a HEAD could not say what is wrong). Then it watches the calls:
/// after some failures in a row, or when calls wait and none comes forward and probes fail as well, calls are refused
/// until the service answers a probe, and those under way are ended. Where the service answers that bucket or keys are
/// wrong, calls go on and get that answer. A bucket that may not be listed is up, with a warning: reads and writes
/// work.
///
/// Probes are of two kinds. Quick ones notice an outage and its end within seconds; of them it takes two in a row to
/// pass their limit. A patient one beside them is for services that are slow (a slow name server, a listing of a bucket
/// that is being recovered), which the quick ones alone would keep down for ever. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "s3/error.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace keepstore::volumes::s3 {

class availability {
  public:
    /// \param bucket  for the log.
    /// \param diagnosis  a command that finds out what is wrong, for the log; may be empty.
    explicit availability(std::string bucket, std::string diagnosis = {})
        : bucket_(std::move(bucket)), diagnosis_(std::move(diagnosis)) {}

    /// errc::unavailable with the reason while the service is known to be down.
    [[nodiscard]] result<void> admit() const;
    /// Empty, or what is wrong in plain words.
    [[nodiscard]] std::string health() const;

    /// While one of these lives a call waits for the service.
    class waiting {
      public:
        explicit waiting(availability& owner);
        ~waiting();
        waiting(const waiting&) = delete;
        waiting& operator=(const waiting&) = delete;

      private:
        availability& owner_;
    };

    /// Bytes came or went, or a call ended well.
    void progress() noexcept { last_progress_.store(now(), std::memory_order_relaxed); }
    template <class T>
    void note(const result<T>& outcome) {
        if (outcome)
            succeeded();
        else
            failed(outcome.error());
    }

    /// \returns empty if all is well; or why the bucket cannot be listed, if it can be used otherwise.
    using probe_type = std::function<awaitable<result<std::string>>(deadline)>;
    /// Quick probes. Runs until it is cancelled. `went_down` is called once in each outage, to end the calls that are
    /// under way.
    [[nodiscard]] static awaitable<result<void>> watch(std::shared_ptr<availability> self, probe_type probe,
                                                       std::function<void()> went_down);
    /// Patient probes, one at a time. Runs beside watch() until it is cancelled.
    [[nodiscard]] static awaitable<result<void>> watch_patiently(std::shared_ptr<availability> self, probe_type probe,
                                                                 std::function<void()> went_down);

  private:
    enum class state { up, refused, down };
    using clock = deadline::clock;

    [[nodiscard]] static clock::rep now() noexcept { return clock::now().time_since_epoch().count(); }
    void succeeded();
    void failed(const error& why);
    [[nodiscard]] bool silent() const noexcept;
    [[nodiscard]] bool quick_probe_needed() const noexcept;
    [[nodiscard]] bool patient_probe_needed() const noexcept;
    /// What a probe has found. \returns whether the calls under way are to be ended.
    [[nodiscard]] bool probed(const result<std::string>& outcome);
    void probe_succeeded(const std::string& why_not_listed);
    void probe_throttled();
    [[nodiscard]] bool probe_failed(const error& why);

    void complain(std::string_view consequence, const error& why) const;

    const std::string bucket_;
    const std::string diagnosis_;
    std::atomic<state> state_{state::up};
    std::atomic<unsigned> failures_{0};  ///< In a row, of the kind that an outage brings.
    std::atomic<unsigned> waiting_{0};
    std::atomic<clock::rep> waiting_since_{0};  ///< When waiting_ last left 0.
    std::atomic<clock::rep> last_progress_{0};
    std::atomic<bool> probed_{false};           ///< A probe has found something out.
    std::atomic<clock::rep> probing_since_{0};  ///< When the first quick probe in a row began; 0: none is under way.

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::string trouble_;       ///< Empty while up.
    bool used_ = false;         ///< It was said that the bucket can be used.
    bool unlisted_ = false;     ///< It was said that the bucket cannot be listed.
    bool calls_ended_ = false;  ///< In this outage.
    keepstore::s3::error_kind trouble_kind_{};
};

}  // namespace keepstore::volumes::s3
