/// Which segments are to be worked on, and by which worker. A claim only saves work: two workers on one segment do no
/// harm, so nothing depends on clocks.
///
/// A segment is done when it has a response without failures; one with failures is worked on again by a later run. The
/// claim of another worker counts as long as it is renewed; it is taken over when its time has passed for as long as it
/// lasts, when it has not changed for twice that long, or when its process is gone from this host.
///
/// Used from one event loop; calls run concurrently.
#pragma once

#include "base/async_condition.hpp"
#include "keepctl/clone/job_files.hpp"
#include "keepctl/clone/job_store.hpp"
#include "keepctl/clone/limits.hpp"
#include "keepctl/cluster/shards.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace keepstore::keepctl {

class segment_board {
  public:
    struct options {
        std::string worker;
        std::chrono::seconds claim_time = limits::clone_claim_time;
        /// No other worker is expected: nothing is claimed.
        bool alone = false;
    };
    enum class next : unsigned char { segment, others, none };
    struct taken {
        next what;
        std::string digits = {};  ///< Of the segment.
    };

    /// Without a store the board is in memory, for a dry run.
    segment_board(job_store* store, clone_job job, options given);

    /// Reads the responses there are, of a job that is not new. \returns the number of segments that are done.
    [[nodiscard]] awaitable<result<std::size_t>> load(deadline until);
    /// Takes a segment; `others`: all that are left are claimed by other workers; `none`: nothing is left to take.
    [[nodiscard]] awaitable<result<taken>> take(deadline until);
    /// A segment is done: writes its response.
    [[nodiscard]] awaitable<result<void>> respond(const segment_report& report, deadline until);
    /// A segment is not done and not worked on here any more; it is not taken again in this run.
    void give_up(const std::string& digits);

    /// Renews claims until stop_renewing(). Spawned once; the board outlives it.
    [[nodiscard]] awaitable<void> renew_claims();
    void stop_renewing();
    /// Lets other workers take at once what this one has claimed and not done.
    [[nodiscard]] awaitable<void> release_all(deadline until);

    /// If every segment has a response: writes the result, if this is not done yet. \returns the totals.
    [[nodiscard]] awaitable<result<std::optional<job_result>>> finish(deadline until);

    [[nodiscard]] const clone_job& job() const noexcept { return job_; }
    [[nodiscard]] const std::string& worker() const noexcept { return options_.worker; }
    [[nodiscard]] std::size_t segments() const noexcept { return shard_count(job_.digits); }
    /// Segments with a response, as far as this worker knows.
    [[nodiscard]] std::size_t done() const noexcept { return done_.size(); }

  private:
    struct seen_claim {
        std::string text;
        std::chrono::steady_clock::time_point since;
    };
    enum class reached : unsigned char { mine, done, theirs };
    [[nodiscard]] awaitable<result<void>> load_segment(std::string digits, deadline until);
    [[nodiscard]] awaitable<result<reached>> claim(const std::string& digits, deadline until);
    [[nodiscard]] awaitable<result<std::optional<segment_report>>> response(const std::string& digits, deadline until);
    [[nodiscard]] bool is_stale(const std::string& digits, const std::string& text);
    /// Changes the time of a claim of this worker if that is still wanted after the claim has been read.
    [[nodiscard]] awaitable<void> set_claim(std::string digits, std::chrono::seconds from_now,
                                            std::function<bool()> still_wanted, deadline until);
    [[nodiscard]] std::string claim_text(std::chrono::seconds from_now) const;

    job_store* const store_;
    const clone_job job_;
    const options options_;
    std::map<std::string, clone_counts> counted_;  // Of responses without failures, as far as they are known.
    std::set<std::string> done_;                   // With a response that needs no more work.
    std::set<std::string> busy_;                   // Taken by this worker, or being claimed.
    std::set<std::string> given_up_;               // By this worker.
    std::map<std::string, std::string> retried_;   // With failures at load(): the worker of that response.
    std::map<std::string, seen_claim> others_;
    std::mutex mutex_;  // For the condition: one thread runs it all.
    async_condition stopping_{mutex_};
    bool stop_ = false;
};

/// "host:pid:nonce"
[[nodiscard]] std::string worker_name();

}  // namespace keepstore::keepctl
