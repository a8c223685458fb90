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

    /// Queues a piece. If more than `wake_at` bytes wait then, \returns what will be set when no
    /// more do.
    [[nodiscard]] std::optional<one_shot<void>> submit(const std::shared_ptr<hash_job>& job, const_slice piece,
                                                       std::size_t wake_at);
    /// Queues every job of a batch; each has its piece.
    void submit(const std::shared_ptr<segment_batch>& batch);
    /// \returns what will be set when the job has nothing queued; nothing if that is so already. A
    /// patient job is patient no more.
    [[nodiscard]] std::optional<one_shot<void>> await_idle(hash_job& job);
    /// A patient job is patient no more.
    void hurry(hash_job& job);
    /// No job is, with what it has queued now.
    void hurry_all();
    /// Drops what is queued for the jobs; what a worker has in work it drops after its pass.
    void abandon(std::span<hash_job> jobs);
    /// Counts bytes that a caller hashed itself.
    void count_inline(std::size_t bytes) noexcept;

    [[nodiscard]] std::size_t workers_asleep();

    const md5_kernel& kernel;

    std::atomic<std::size_t> streams_patient_again = 0;

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
    void end_patience(hash_job& job);
    [[nodiscard]] bool has_company() const noexcept;
    [[nodiscard]] bool may_wait(const hash_job& job) const noexcept;
    void be_patient_again(hash_job& job) const noexcept;

    /// So many patient jobs are worth a pass of their own: half of the lanes.
    const std::size_t company_;

    std::mutex mutex_;
    std::condition_variable wake_;
    // Guarded by mutex_. Invariant: ready_.size() <= lanes_free_, or every worker is awake (or has
    // a wake-up under way). An awake worker looks at ready_ after every pass and before it sleeps,
    // so that nobody is forgotten.
    std::deque<std::shared_ptr<hash_job>> ready_;
    // Patient jobs, fewer than company_ but for a moment. Workers take them along when they run
    // anyway and have lanes free; nobody is woken for them.
    std::deque<std::shared_ptr<hash_job>> patient_;
    std::size_t lanes_free_ = 0;   // Of awake workers.
    std::size_t asleep_ = 0;       // Workers asleep and not being woken.
    std::size_t wake_tokens_ = 0;  // Wake-ups under way.
    std::uint64_t hurries_ = 0;    // Calls of hurry_all().
    bool stopping_ = false;

    std::vector<std::jthread> threads_;  // Last: they use the rest.
};

}  // namespace keepstore::digest
