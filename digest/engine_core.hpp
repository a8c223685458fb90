/// The scheduler of the digest engine (private to this module): the queue of jobs that have pieces,
/// and the workers.
///
/// Any thread may call; one mutex guards the queue and the jobs' queues, and is never held while
/// bytes are hashed, buffers given back or coroutines woken. A worker takes it twice per pass, that
/// is, every 100 microseconds or so.
#pragma once

#include "digest/hash_job.hpp"
#include "digest/md5_lanes.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace keepstore::digest {

struct engine::core {
    core(unsigned threads, const md5_kernel& kernel);
    ~core();
    core(const core&) = delete;
    core& operator=(const core&) = delete;

    /// Queues a piece. If more than `wake_at` bytes are queued then, \returns a one-shot that is set when
    /// at most that many are.
    [[nodiscard]] std::optional<one_shot<void>> submit(const std::shared_ptr<hash_job>& job, const_slice piece,
                                                       std::size_t wake_at);
    /// Queues every job of a batch; each has its piece.
    void submit(const std::shared_ptr<segment_batch>& batch);
    /// \returns a one-shot that is set when the job has nothing queued; nothing if that is so already.
    /// Ends a deferral.
    [[nodiscard]] std::optional<one_shot<void>> await_idle(hash_job& job);
    /// Ends a deferral of the job.
    void flush(hash_job& job);
    /// Ends the deferrals of all jobs, for what they have queued now.
    void flush_all();
    /// Drops the queued pieces of the jobs; a worker drops the one it has in work after its pass.
    void abandon(std::span<hash_job> jobs);
    /// Counts bytes that a caller hashed itself.
    void count_inline(std::size_t bytes) noexcept;

    [[nodiscard]] std::size_t workers_asleep();

    const md5_kernel& kernel;

    std::atomic<std::size_t> streams_batching = 0;

    std::atomic<std::uint64_t> bytes_total = 0;
    std::atomic<std::uint64_t> bytes_single_total = 0;
    std::atomic<std::uint64_t> passes_total = 0;
    std::atomic<std::uint64_t> lanes_used_total = 0;
    std::atomic<std::uint64_t> wakeups_total = 0;

  private:
    class worker;

    // With mutex_.
    void wake_as_needed();
    void enqueue(std::shared_ptr<hash_job> job);
    void end_deferral(hash_job& job);
    [[nodiscard]] bool others_batch() const noexcept;
    [[nodiscard]] bool may_defer(const hash_job& job) const noexcept;
    void defer_again(hash_job& job) const noexcept;

    /// Number of deferrable jobs that are worth a pass of their own: half of the lanes.
    const std::size_t batch_lanes_;

    std::mutex mutex_;
    std::condition_variable wake_;
    // Guarded by mutex_. Invariant: ready_.size() <= lanes_free_, or every worker is awake (or has
    // a wake-up under way). An awake worker looks at ready_ after every pass and before it sleeps,
    // so that no job is forgotten.
    std::deque<std::shared_ptr<hash_job>> ready_;
    // Deferred jobs, fewer than batch_lanes_ but for a moment. Workers take them along when they run
    // anyway and have lanes free; no worker is woken for them.
    std::deque<std::shared_ptr<hash_job>> deferred_;
    std::size_t lanes_free_ = 0;   // Of awake workers.
    std::size_t asleep_ = 0;       // Workers asleep and not being woken.
    std::size_t wake_tokens_ = 0;  // Wake-ups under way.
    std::uint64_t flushes_ = 0;    // Calls of flush_all().
    bool stopping_ = false;

    std::vector<std::jthread> threads_;  // Last: they use the rest.
};

}  // namespace keepstore::digest
