/// Whether the service answers, so that an outage costs a few requests a wait and all others none, and so that a missing
/// bucket or wrong keys are said before the first request meets them.
///
/// It begins with a probe (a listing of one key, since a HEAD could not say what is wrong). Then it watches the calls:
/// after some failures in a row, or when calls wait and none comes forward and a probe fails as well, calls are refused
/// until a probe succeeds, and those under way are ended. Where the service answers that bucket or keys are wrong, calls
/// go on and get that answer. A bucket that may not be listed is up, with a warning: reads and writes work. Safe to use
/// from any thread.
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
        if (outcome) succeeded();
        else failed(outcome.error());
    }

    /// \returns empty if all is well; or why the bucket cannot be listed, if it can be used otherwise.
    using probe_type = std::function<awaitable<result<std::string>>(deadline)>;
    /// Runs until it is cancelled. `went_down` is called once in each outage, to end the calls that are under way.
    [[nodiscard]] static awaitable<result<void>> watch(std::shared_ptr<availability> self, probe_type probe,
                                                       std::function<void()> went_down);

  private:
    enum class state { up, refused, down };
    using clock = deadline::clock;

    [[nodiscard]] static clock::rep now() noexcept { return clock::now().time_since_epoch().count(); }
    void succeeded();
    void failed(const error& why);
    [[nodiscard]] bool silent() const noexcept;
    void probe_succeeded(bool first, const std::string& why_not_listed);
    /// \returns whether it is an outage.
    [[nodiscard]] bool probe_failed(const error& why);
    [[nodiscard]] bool suspicious() const noexcept;

    void complain(std::string_view consequence, const error& why) const;

    const std::string bucket_;
    const std::string diagnosis_;
    std::atomic<state> state_{state::up};
    std::atomic<unsigned> failures_{0};  ///< In a row, of the kind that an outage brings.
    std::atomic<unsigned> waiting_{0};
    std::atomic<clock::rep> waiting_since_{0};  ///< When waiting_ last left 0.
    std::atomic<clock::rep> last_progress_{0};

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::string trouble_;     ///< Empty while up.
    bool unlisted_ = false;  ///< It was said that the bucket cannot be listed.
    keepstore::s3::error_kind trouble_kind_{};
};

}  // namespace keepstore::volumes::s3
