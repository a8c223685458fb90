#include "digest/engine_core.hpp"

#include "base/log.hpp"
#include "digest/limits.hpp"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include <pthread.h>

namespace keepstore::digest {

/// One thread with its lanes. Everything here is the thread's own, except what is reached through
/// core_.
class engine::core::worker {
  public:
    explicit worker(engine::core& core) : core_(core) { lanes_.reserve(core.kernel.lanes); }

    void run() {
        std::unique_lock lock(core_.mutex_);
        while (true) {
            settle();
            refill();
            if (core_.stopping_) return;
            if (!worth_a_pass()) defer_lanes();
            if (lanes_.empty() && !has_garbage()) {
                core_.lanes_free_ -= core_.kernel.lanes;
                core_.asleep_ += 1;
                if (!sleep(lock)) return;
                continue;
            }
            lock.unlock();
            clear_garbage();
            if (!lanes_.empty()) pass();
            lock.lock();
        }
    }

  private:
    struct lane {
        std::shared_ptr<hash_job> job;
        std::span<const std::byte> left;  // Of the job's front piece.
        std::size_t bytes_since_taken = 0;
    };

    // The thread that takes a wake-up token finds asleep_ and lanes_free_ adjusted already, by the
    // waker.
    bool sleep(std::unique_lock<std::mutex>& lock) {
        core_.wake_.wait(lock, [&] { return core_.stopping_ || core_.wake_tokens_ > 0; });
        if (core_.stopping_) return false;
        core_.wake_tokens_ -= 1;
        return true;
    }

    // With the mutex: after a pass, frees lanes whose job has nothing queued, was abandoned, or has
    // used up its turn.
    void settle() {
        std::erase_if(lanes_, [this](lane& l) {
            if (keep(l)) return false;
            core_.lanes_free_ += 1;
            jobs_.push_back(std::move(l.job));
            return true;
        });
    }

    bool keep(lane& l) {
        hash_job& job = *l.job;
        if (job.abandoned.load(std::memory_order_relaxed)) return false;
        const bool others_wait = !core_.ready_.empty();
        if (!l.left.empty()) {
            if (!others_wait || l.bytes_since_taken < limits::digest_turn_bytes) return true;
            const_slice& front = job.pieces.front();
            job.queued_bytes -= front.size() - l.left.size();
            front.bytes = l.left;
            requeue(l);
            return false;
        }
        job.queued_bytes -= job.pieces.front().size();
        slices_.push_back(job.pieces.pop());
        const bool more = !job.pieces.empty();
        if (!more) {
            job.in_work = false;
            job.urgent = false;
            job.busy.store(false, std::memory_order_release);
            if (job.batch && --job.batch->unfinished == 0) wakes_.push_back(job.batch->done);
        }
        if (job.waiter && job.queued_bytes <= job.wake_at) {
            wakes_.push_back(*std::exchange(job.waiter, std::nullopt));
        }
        if (!more) return false;
        if (others_wait && l.bytes_since_taken >= limits::digest_turn_bytes) {
            requeue(l);
            return false;
        }
        core_.defer_again(job);
        l.left = job.pieces.front().bytes;
        return true;
    }

    void requeue(lane& l) {
        l.job->in_work = false;
        core_.ready_.push_back(l.job);
    }

    // With the mutex. Deferrable jobs, if fewer than batch_lanes_, run only together with one that is
    // not.
    [[nodiscard]] bool worth_a_pass() const {
        return lanes_.size() >= core_.batch_lanes_ ||
               std::ranges::any_of(lanes_, [this](const lane& l) { return !core_.may_defer(*l.job); });
    }

    // With the mutex: moves all lanes to deferred_, where any worker finds them.
    void defer_lanes() {
        for (lane& l : lanes_) {
            const_slice& front = l.job->pieces.front();
            l.job->queued_bytes -= front.size() - l.left.size();
            front.bytes = l.left;
            l.job->in_work = false;
            core_.deferred_.push_back(std::move(l.job));
        }
        core_.lanes_free_ += lanes_.size();
        lanes_.clear();
    }

    // With the mutex.
    void refill() {
        fill_from(core_.ready_);
        if (std::ranges::none_of(lanes_, [](const lane& l) { return l.job->alone; })) fill_from(core_.deferred_);
        core_.wake_as_needed();
    }

    void fill_from(std::deque<std::shared_ptr<hash_job>>& queue) {
        while (lanes_.size() < core_.kernel.lanes && !queue.empty()) {
            auto job = std::move(queue.front());
            queue.pop_front();
            if (job->abandoned.load(std::memory_order_relaxed)) {
                jobs_.push_back(std::move(job));
                continue;
            }
            job->in_work = true;
            const auto bytes = job->pieces.front().bytes;
            lanes_.push_back({std::move(job), bytes});
            core_.lanes_free_ -= 1;
        }
    }

    // Without the mutex: the longest run that all lanes have in common, up to the cap.
    void pass() {
        std::array<md5_lane, md5_lanes_max> work{};
        std::size_t run = limits::digest_pass_bytes;
        std::size_t active = 0;
        std::size_t odd_bytes = 0;  // Hashed or kept apart from the common run.
        for (std::size_t i = 0; i < lanes_.size(); ++i) {
            lane& l = lanes_[i];
            const std::size_t used = l.job->top_up(l.left);
            l.left = l.left.subspan(used);
            odd_bytes += used;
            if (l.left.size() < md5_block_bytes) {
                odd_bytes += l.left.size();
                l.job->keep_tail(std::exchange(l.left, {}));
                continue;
            }
            run = std::min(run, l.job->run_bytes(l.left.size()));
            work[i] = {&l.job->state, l.left.data()};
            ++active;
        }
        core_.bytes_total.fetch_add(odd_bytes, std::memory_order_relaxed);
        if (active == 0) return;
        core_.kernel.compress(std::span(work).first(lanes_.size()), run / md5_block_bytes);
        std::size_t tail_bytes = 0;
        for (std::size_t i = 0; i < lanes_.size(); ++i) {
            if (!work[i].state) continue;
            lane& l = lanes_[i];
            l.job->advance(run);
            l.left = l.left.subspan(run);
            l.bytes_since_taken += run;
            if (l.left.size() < md5_block_bytes) {
                tail_bytes += l.left.size();
                l.job->keep_tail(std::exchange(l.left, {}));
            }
        }

        core_.bytes_total.fetch_add(run * active + tail_bytes, std::memory_order_relaxed);
        if (active == 1) {
            core_.bytes_single_total.fetch_add(run, std::memory_order_relaxed);
        } else {
            core_.passes_total.fetch_add(1, std::memory_order_relaxed);
            core_.lanes_used_total.fetch_add(active, std::memory_order_relaxed);
        }
    }

    [[nodiscard]] bool has_garbage() const noexcept { return !slices_.empty() || !wakes_.empty() || !jobs_.empty(); }

    // Without the mutex. Buffers go back first, so that a woken coroutine finds them free.
    void clear_garbage() {
        slices_.clear();
        jobs_.clear();
        for (const auto& wake : wakes_) wake.set({});
        wakes_.clear();
    }

    engine::core& core_;
    std::vector<lane> lanes_;
    // Released and set as soon as the mutex is unlocked.
    std::vector<const_slice> slices_;
    std::vector<std::shared_ptr<hash_job>> jobs_;
    std::vector<one_shot<void>> wakes_;
};

engine::core::core(unsigned threads, const md5_kernel& k)
    : kernel(k), batch_lanes_(std::max<std::size_t>(k.lanes / 2, 1)) {
    const unsigned count = std::max(threads, 1U);
    lanes_free_ = count * kernel.lanes;  // Workers begin awake.
    threads_.reserve(count);
    try {
        while (threads_.size() < count) {
            threads_.emplace_back([this] {
                pthread_setname_np(pthread_self(), "digest");
                worker(*this).run();
            });
        }
    } catch (const std::system_error& e) {
        if (threads_.empty()) throw std::system_error(e.code(), "cannot make a thread for hashing");
        log::warning("fewer threads for hashing than processors: threads cannot be made",
                     {{"wanted", count}, {"made", threads_.size()}, {"error", e.code().message()}});
        const std::lock_guard lock(mutex_);
        lanes_free_ -= (count - threads_.size()) * kernel.lanes;
    }
}

engine::core::~core() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
}

void engine::core::wake_as_needed() {
    while (ready_.size() > lanes_free_ && asleep_ > 0) {
        asleep_ -= 1;
        lanes_free_ += kernel.lanes;
        wake_tokens_ += 1;
        wakeups_total.fetch_add(1, std::memory_order_relaxed);
        wake_.notify_one();
    }
}

// Deferral saves passes: as soon as there are jobs for half of the lanes it saves no more.
void engine::core::enqueue(std::shared_ptr<hash_job> job) {
    if (!job->deferrable) {
        ready_.push_back(std::move(job));
    } else {
        deferred_.push_back(std::move(job));
        if (deferred_.size() < batch_lanes_) return;
        std::ranges::move(deferred_, std::back_inserter(ready_));
        deferred_.clear();
    }
    wake_as_needed();
}

void engine::core::end_deferral(hash_job& job) {
    if (!job.deferrable) return;
    job.deferrable = false;
    const auto at = std::ranges::find(deferred_, &job, &std::shared_ptr<hash_job>::get);
    if (at == deferred_.end()) return;  // Ready, or in work.
    ready_.push_back(std::move(*at));
    deferred_.erase(at);
    wake_as_needed();
}

std::optional<one_shot<void>> engine::core::submit(const std::shared_ptr<hash_job>& job, const_slice piece,
                                                   std::size_t wake_at) {
    const std::lock_guard lock(mutex_);
    job->queued_bytes += piece.size();
    job->pieces.push(std::move(piece));
    if (!job->busy.load(std::memory_order_relaxed)) {
        job->busy.store(true, std::memory_order_relaxed);
        job->flushes_before = flushes_;
        job->deferrable = job->deferrable || (job->batching && others_batch());
        enqueue(job);
    }
    job->batching_bytes = wake_at / 2;
    if (job->batching && job->queued_bytes > job->batching_bytes) end_deferral(*job);
    if (job->queued_bytes <= wake_at) return std::nullopt;
    end_deferral(*job);
    job->wake_at = wake_at;
    return job->waiter.emplace();
}

void engine::core::submit(const std::shared_ptr<segment_batch>& batch) {
    const std::lock_guard lock(mutex_);
    for (hash_job& job : batch->jobs) {
        job.queued_bytes = job.pieces.front().size();
        job.busy.store(true, std::memory_order_relaxed);
        ready_.push_back(std::shared_ptr<hash_job>(batch, &job));
    }
    wake_as_needed();
}

void engine::core::flush(hash_job& job) {
    const std::lock_guard lock(mutex_);
    job.urgent = job.busy.load(std::memory_order_relaxed);
    end_deferral(job);
}

void engine::core::flush_all() {
    const std::lock_guard lock(mutex_);
    ++flushes_;
    std::ranges::move(deferred_, std::back_inserter(ready_));
    deferred_.clear();
    wake_as_needed();
}

bool engine::core::others_batch() const noexcept {
    return streams_batching.load(std::memory_order_relaxed) > 1;
}

bool engine::core::may_defer(const hash_job& job) const noexcept {
    return job.deferrable && job.flushes_before == flushes_;
}

// With some pieces hashed and some left: the rest is deferred as the first ones were, so that a stream that is ahead of
// the others does not go on without them.
void engine::core::defer_again(hash_job& job) const noexcept {
    if (!job.batching || job.urgent || job.queued_bytes > job.batching_bytes) return;
    job.deferrable = job.flushes_before == flushes_ && others_batch();
}

std::optional<one_shot<void>> engine::core::await_idle(hash_job& job) {
    if (!job.busy.load(std::memory_order_acquire)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    if (!job.busy.load(std::memory_order_relaxed)) return std::nullopt;
    job.wake_at = 0;
    job.urgent = true;
    end_deferral(job);
    return job.waiter.emplace();
}

void engine::core::abandon(std::span<hash_job> jobs) {
    std::vector<std::vector<const_slice>> dropped;  // Given back after the lock.
    const std::lock_guard lock(mutex_);
    for (hash_job& job : jobs) {
        if (!job.busy.load(std::memory_order_relaxed)) continue;
        job.abandoned.store(true, std::memory_order_relaxed);
        dropped.push_back(job.pieces.take(job.in_work));
        std::erase_if(deferred_, [&](const auto& queued) { return queued.get() == &job; });
    }
}

std::size_t engine::core::workers_asleep() {
    const std::lock_guard lock(mutex_);
    return asleep_;
}

void engine::core::count_inline(std::size_t bytes) noexcept {
    bytes_total.fetch_add(bytes, std::memory_order_relaxed);
    bytes_single_total.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace keepstore::digest
