/// Brings the blocks of a keepstore's bucket, with their markers, to another bucket. Never deletes.
///
///     take a segment ──► merge of the listings ──► queue of planned blocks ──► workers: copy ► prove ► marker
///        │                                                                        │ failed
///        └ incomplete: listed once more at the end                                └ tried once more after all others
///
/// When all blocks of a segment have an outcome its response is written: the next run, or another worker, begins with
/// the segments that have none. Memory does not grow with the number of blocks: a page of each listing, a short queue,
/// chunks of one pool for blocks that are read, and the first failures. Used from one event loop.
#pragma once

#include "base/async_condition.hpp"
#include "base/async_queue.hpp"
#include "keepctl/clone/block_copier.hpp"
#include "keepctl/clone/clone_counts.hpp"
#include "keepctl/clone/request_gate.hpp"
#include "keepctl/clone/segment_board.hpp"
#include "keepctl/clone/segment_merge.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

struct clone_options {
    copier_options copier;
    std::optional<unsigned> jobs = {};  ///< Requests at a time at most; absent: by the mode.
    bool trash = false;
    bool dry_run = false;
    bool count_foreign = true;  ///< Also keys that no listing of a segment has.
    /// Nothing is in the target: it is not listed.
    bool target_is_empty = false;
    /// Failures of all blocks for this long end the run.
    std::chrono::nanoseconds give_up_after = limits::give_up_after_default;
};

/// Observer of a clone. Called on the event loop.
class clone_observer {
  public:
    virtual ~clone_observer() = default;
    virtual void note(std::string_view text) = 0;
    virtual void warn(std::string_view text) = 0;
    virtual void failed(const block_failure& failure) = 0;
};

class cloning {
  public:
    /// All must outlive it.
    cloning(const clone_bucket& source, const clone_bucket& target, const clone_options& options, segment_board& board,
            clone_observer& observer);

    /// Works until every segment is done, here or by other workers. To be spawned once.
    [[nodiscard]] awaitable<void> run();
    /// Begins no more blocks and no more segments.
    void stop();

    // --- results, also while it runs ---------------------------------------------------------------------------------
    [[nodiscard]] const clone_counts& counts() const noexcept { return counts_; }
    [[nodiscard]] bool stopped() const noexcept { return stopping_; }
    /// Blocks and files of the job under way.
    [[nodiscard]] std::size_t busy() const noexcept { return busy_; }
    [[nodiscard]] clone_mode mode() const noexcept { return copier_.mode(); }
    [[nodiscard]] unsigned requests_at_a_time() const noexcept { return copies_.limit(); }
    /// Segments that could not be listed, or whose response could not be written.
    [[nodiscard]] std::size_t incomplete() const noexcept { return incomplete_; }
    /// Why the run ended early: a bucket refuses everything, or fails for too long.
    [[nodiscard]] const std::optional<error>& fatal() const noexcept { return fatal_; }

  private:
    struct segment_work {
        segment_report report;
        std::size_t pending = 0;  // Planned blocks without an outcome.
        bool planned = false;     // All of its blocks are planned.
    };
    struct planned_task {
        clone_task task;
        std::shared_ptr<segment_work> segment;
    };
    using attempt = block_copier::attempt;
    using outcome = block_copier::outcome;

    awaitable<void> produce();
    awaitable<void> count_others();
    awaitable<void> release_claims();
    awaitable<void> pass(bool& others);
    awaitable<void> list_segments(bool& others);
    awaitable<void> list_again();
    awaitable<void> list_segment(std::string digits, bool last_try);
    [[nodiscard]] awaitable<bool> plan(const merged_block& block, std::shared_ptr<segment_work> segment);
    [[nodiscard]] awaitable<bool> plan_one(clone_task task, std::shared_ptr<segment_work> segment);
    [[nodiscard]] awaitable<result<s3::list_page>> list_page(const clone_bucket& of, s3::list_options where,
                                                             deadline until);
    awaitable<void> work();
    [[nodiscard]] awaitable<attempt> copy_patiently(const clone_task& task);
    awaitable<void> finish(planned_task done, attempt end);
    awaitable<void> finish_segment(std::shared_ptr<segment_work> segment);
    [[nodiscard]] awaitable<bool> wait_for_idle();
    [[nodiscard]] awaitable<bool> pause(std::chrono::nanoseconds length);
    /// Whether to wait and try again, because a bucket fails as a whole.
    [[nodiscard]] awaitable<bool> wait_out(const error& why);
    void note_success();
    void give_up(error why);
    void leave(request_gate& gate);

    const clone_bucket& source_;
    const clone_bucket& target_;
    const clone_options& options_;
    segment_board& board_;
    clone_observer& observer_;
    block_copier copier_;

    std::mutex mutex_;  // For the conditions: one thread runs it all.
    async_condition idle_{mutex_};
    async_condition stop_requested_{mutex_};
    request_gate listings_;  // They take another time than copies.
    request_gate copies_;
    std::uint64_t throttled_ = 0;  // Responses, as far as the limit knows of them.
    async_queue<planned_task> queue_;
    std::vector<planned_task> again_;      // Failed once.
    std::vector<std::string> list_again_;  // Digits of segments whose listing failed once.
    clone_counts counts_;
    std::size_t unfinished_ = 0;  // Queued or under way.
    std::size_t busy_ = 0;
    std::size_t incomplete_ = 0;
    bool stopping_ = false;
    bool over_ = false;  // All segments are dealt with.
    bool second_round_ = false;
    unsigned failures_in_a_row_ = 0;
    std::optional<std::chrono::steady_clock::time_point> paused_since_;
    std::optional<error> fatal_;
};

}  // namespace keepstore::keepctl
