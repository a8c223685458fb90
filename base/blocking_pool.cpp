#include "base/blocking_pool.hpp"

#include "base/limits.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace keepstore {
namespace {

using pool_clock = deadline::clock;

constexpr std::size_t kinds = 3;
// Silence is counted in checks, not by the clock: a machine that stands still has no time to make progress.
constexpr unsigned stall_checks = limits::stall_after / limits::hang_check_interval;

constexpr std::size_t index_of(blocking_pool::work kind) {
    return static_cast<std::size_t>(kind);
}

// The counter of the kind of the call that runs on this thread.
thread_local std::atomic<std::uint64_t>* moves_here = nullptr;

error hung_error() {
    return {errc::unavailable, "volume does not respond"};
}

}  // namespace

struct blocking_pool::shared {
    struct entry {
        std::shared_ptr<job> task;
        deadline until;
        work kind = work::read;
        bool kept = false;     // Never dropped from the queue: it is clean-up.
        bool excused = false;  // Not a sign of a stall.
        std::uint64_t number = 0;
        pool_clock::time_point started = {};
    };
    struct worker {
        std::optional<entry> current;  // Guarded by mutex.
        bool overdue = false;          // Guarded by mutex.
    };
    struct progress {
        std::atomic<std::uint64_t> moves{0};
        std::uint64_t moves_seen = 0;  // Guarded by mutex.
        /// Checks in a row without progress, while calls were pending; and in any case.
        std::atomic<unsigned> silent{0};
        std::atomic<unsigned> quiet{stall_checks};
        std::atomic<bool> slow{false};
    };

    explicit shared(options o)
        : opts(std::move(o)), writers_max(opts.threads_max - std::min(opts.threads_for_reads, opts.threads_max - 1)) {}

    const options opts;
    const unsigned writers_max;
    std::array<progress, kinds> by_kind;
    std::mutex mutex;
    std::condition_variable work_due;  // Workers wait here.
    std::condition_variable monitor;   // The monitor waits here.
    std::condition_variable finished;  // The destructor waits here.
    // Guarded by mutex.
    std::deque<entry> reads;
    std::deque<entry> writes;  // And commits.
    std::uint64_t numbers = 0;
    std::vector<std::unique_ptr<worker>> workers;
    unsigned writers = 0;  // Workers that run a write or commit.
    unsigned idle = 0;
    unsigned alive = 0;
    bool monitor_started = false;
    bool monitor_idle = false;
    bool stopping = false;

    static void name_thread(const std::string& name) {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());  // 15 characters is the kernel's limit.
    }

    // Starts a thread that runs `body`. \returns false if the system has none (a limit on processes, or no memory).
    bool start_thread(auto body) {
        try {
            std::thread(std::move(body)).detach();
        } catch (const std::system_error&) {
            return false;
        }
        ++alive;
        return true;
    }

    bool start_worker(const std::shared_ptr<shared>& self) {
        workers.push_back(std::make_unique<worker>());
        worker* const me = workers.back().get();
        if (start_thread([self, me] { self->work_loop(*me); })) return true;
        workers.pop_back();
        return false;
    }

    // The monitor comes first: a call without it would have no deadline.
    bool have_monitor(const std::shared_ptr<shared>& self) {
        if (!monitor_started) monitor_started = start_thread([self] { self->monitor_loop(); });
        return monitor_started;
    }

    // Entries that a worker could take now.
    [[nodiscard]] std::size_t takeable() const {
        return reads.size() + std::min<std::size_t>(writes.size(), writers_max - std::min(writers, writers_max));
    }

    [[nodiscard]] entry take() {
        const bool write =
            reads.empty() || (!writes.empty() && writers < writers_max && writes.front().number < reads.front().number);
        auto& from = write ? writes : reads;
        entry out = std::move(from.front());
        from.pop_front();
        if (write) ++writers;
        return out;
    }

    void work_loop(worker& me) {
        name_thread(opts.name);
        std::shared_ptr<job> finished_task;  // Destroyed outside the lock: it may release buffers.
        std::unique_lock lock(mutex);
        while (true) {
            if (takeable() == 0 && finished_task) {
                lock.unlock();
                finished_task.reset();
                lock.lock();
            }
            while (takeable() == 0 && !stopping) {
                ++idle;
                work_due.wait(lock);
                --idle;
            }
            if (takeable() == 0) break;
            me.current.emplace(take());
            me.current->started = pool_clock::now();
            me.overdue = false;
            job* const task = me.current->task.get();  // Ours until current is reset, which only we do.
            const work kind = me.current->kind;
            lock.unlock();
            finished_task.reset();
            run(*task, kind);
            lock.lock();
            if (kind != work::read) --writers;
            finished_task = std::move(me.current->task);
            me.current.reset();
        }
        --alive;
        finished.notify_all();
    }

    void run(job& task, work kind) {
        auto& moves = by_kind[index_of(kind)].moves;
        moves_here = &moves;
        const error* const failure = task.run();
        moves_here = nullptr;
        moves.fetch_add(1, std::memory_order_relaxed);
        if (opts.on_outcome) opts.on_outcome(kind, failure);
        task.deliver();
    }

    // Measures the progress of each kind since the last check. With the mutex held.
    void measure() {
        std::array<bool, kinds> pending{};
        std::array<bool, kinds> slow{};
        const auto now = pool_clock::now();
        const auto count = [&](const entry& e) {
            if (!e.excused) pending[index_of(e.kind)] = true;
        };
        for (const auto& w : workers) {
            if (!w->current) continue;
            count(*w->current);
            if (now - w->current->started > limits::slow_call_after) slow[index_of(w->current->kind)] = true;
        }
        for (const auto* const queue : {&reads, &writes}) std::ranges::for_each(*queue, count);
        for (std::size_t i = 0; i < kinds; ++i) {
            progress& p = by_kind[i];
            const auto moves = p.moves.load(std::memory_order_relaxed);
            const bool moved = moves != std::exchange(p.moves_seen, moves);
            p.silent = moved || !pending[i] ? 0 : p.silent + 1;
            p.quiet = moved ? 0 : p.quiet + 1;
            p.slow = slow[i];
        }
    }

    [[nodiscard]] unsigned silent_checks(work kind) const noexcept {
        const unsigned reading = by_kind[index_of(work::read)].silent.load(std::memory_order_relaxed);
        if (kind == work::read) return reading;
        const progress& w = by_kind[index_of(work::write)];
        const progress& c = by_kind[index_of(work::commit)];
        const unsigned own =
            std::max(w.silent.load(std::memory_order_relaxed), c.silent.load(std::memory_order_relaxed));
        const unsigned quiet =
            std::min(w.quiet.load(std::memory_order_relaxed), c.quiet.load(std::memory_order_relaxed));
        return std::max(own, std::min(reading, quiet));
    }

    // Whether a call ends after so many checks without progress of its kind.
    [[nodiscard]] bool ends_in_silence(const entry& e, unsigned checks) const {
        if (checks >= stall_checks && (e.until.ends_at_stall() || e.task->ends_at_stall())) return true;
        return opts.silence_max != duration::max() && checks * limits::hang_check_interval >= opts.silence_max;
    }

    // Why a call ends now without a result, if it does. With the mutex held.
    [[nodiscard]] std::optional<error> end_of(const entry& e, bool running) const {
        if (e.until.passed()) return error(errc::timeout, "volume does not respond");
        if (ends_in_silence(e, silent_checks(e.kind))) return hung_error();
        if (running && opts.call_max != duration::max() && pool_clock::now() - e.started >= opts.call_max)
            return error(errc::timeout, "volume does not respond");
        return std::nullopt;
    }

    // Expires calls whose deadline has passed, or that wait for storage that makes no progress.
    void monitor_loop() {
        name_thread(opts.name + "/mon");
        std::unique_lock lock(mutex);
        while (!stopping) {
            std::vector<std::pair<std::shared_ptr<job>, error>> late;
            measure();
            bool busy = false;
            for (auto& w : workers) {
                if (!w->current) continue;
                busy = true;
                if (w->overdue) continue;
                if (auto why = end_of(*w->current, true)) {
                    w->overdue = true;
                    late.emplace_back(w->current->task, std::move(*why));
                }
            }
            for (auto* const queue : {&reads, &writes}) {
                busy = busy || !queue->empty();
                std::erase_if(*queue, [&](entry& e) {
                    if (e.kept) return false;
                    auto why = end_of(e, false);
                    if (!why) return false;
                    e.task->abandon();
                    late.emplace_back(std::move(e.task), std::move(*why));
                    return true;
                });
            }
            if (!late.empty()) {
                lock.unlock();
                for (auto& [task, why] : late) task->expire(std::move(why));
                late.clear();
                lock.lock();
            }
            if (stopping) break;
            if (busy) {
                monitor.wait_for(lock, limits::hang_check_interval);
            } else {
                monitor_idle = true;
                monitor.wait(lock);
                monitor_idle = false;
            }
        }
        --alive;
        finished.notify_all();
    }

    result<void> enqueue(const std::shared_ptr<shared>& self, entry e) {
        const unsigned checks = silent_checks(e.kind);
        if (!e.kept && checks >= stall_checks && ends_in_silence(e, checks)) return std::unexpected(hung_error());
        const std::lock_guard lock(mutex);
        if (stopping || reads.size() + writes.size() >= opts.queue_max) {
            return fail(errc::unavailable, "volume is overloaded or does not respond");
        }
        if (!have_monitor(self)) return fail(errc::unavailable, "threads cannot be made");
        e.number = numbers++;
        auto& queue = e.kind == work::read ? reads : writes;
        queue.push_back(std::move(e));
        // Without a new thread the call waits for those that there are; the next call tries again.
        const bool wants_thread = idle < takeable() && workers.size() < opts.threads_max;
        const bool started = wants_thread && start_worker(self);
        if (workers.empty()) {
            e = std::move(queue.back());  // Destroyed outside the lock.
            queue.pop_back();
            return fail(errc::unavailable, "threads cannot be made");
        }
        if (!started && idle > 0) work_due.notify_one();
        if (monitor_idle) monitor.notify_one();
        return success();
    }
};

blocking_pool::blocking_pool(options o) : shared_(std::make_shared<shared>(std::move(o))) {}

blocking_pool::~blocking_pool() {
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    std::array<std::deque<shared::entry>, 2> dropped;
    dropped[0].swap(shared_->reads);
    dropped[1].swap(shared_->writes);
    shared_->work_due.notify_all();
    shared_->monitor.notify_all();
    shared_->finished.wait_for(lock, limits::blocking_stop_wait, [&] { return shared_->alive == 0; });
    lock.unlock();
    for (auto& queue : dropped) {
        for (auto& e : queue) e.task->expire(error(errc::timeout, "volume does not respond"));
    }
}

result<void> blocking_pool::submit(std::shared_ptr<job> task, deadline until, work kind) {
    return shared_->enqueue(shared_, {.task = std::move(task), .until = until, .kind = kind});
}

void blocking_pool::awaited_job::deliver() {
    if (has_outcome()) done.set(std::monostate{});
}

void blocking_pool::awaited_job::expire(error why) {
    done.set(std::unexpected(std::move(why)));
}

awaitable<result<void>> blocking_pool::run_job(std::shared_ptr<awaited_job> task, deadline until, work kind) {
    KS_CO_CHECK(submit(task, until, kind));
    auto delivered = co_await task->done.wait();
    if (delivered) co_return success();
    if (delivered.error() == errc::cancelled) task->abandon();
    co_return std::unexpected(std::move(delivered).error());
}

bool blocking_pool::post(std::move_only_function<void()> call, work kind) {
    class plain_job final : public job {
      public:
        explicit plain_job(std::move_only_function<void()> c) : call_(std::move(c)) {}
        const error* run() override {
            call_();
            return nullptr;
        }
        void expire(error) override {}

      private:
        std::move_only_function<void()> call_;
    };
    return shared_
        ->enqueue(shared_, {.task = std::make_shared<plain_job>(std::move(call)),
                            .until = deadline::never(),
                            .kind = kind,
                            .kept = true})
        .has_value();
}

void blocking_pool::note_progress() noexcept {
    if (moves_here != nullptr) moves_here->fetch_add(1, std::memory_order_relaxed);
}

blocking_pool::stats blocking_pool::snapshot() const {
    const std::lock_guard lock(shared_->mutex);
    stats s{.queued = shared_->reads.size() + shared_->writes.size(), .running = 0, .overdue = 0};
    for (const auto& w : shared_->workers) {
        if (!w->current) continue;
        ++s.running;
        if (w->overdue) ++s.overdue;
    }
    return s;
}

blocking_pool::activity blocking_pool::activity_of(work kind) const noexcept {
    const auto slow = [this](work k) { return shared_->by_kind[index_of(k)].slow.load(std::memory_order_relaxed); };
    return {.silence = shared_->silent_checks(kind) * limits::hang_check_interval,
            .slow = kind == work::read ? slow(work::read) : slow(work::write) || slow(work::commit)};
}

void blocking_pool::excuse(work kind) {
    const std::lock_guard lock(shared_->mutex);
    const auto excuse = [kind](shared::entry& e) { e.excused = e.excused || e.kind == kind; };
    for (auto& w : shared_->workers) {
        if (w->current) excuse(*w->current);
    }
    for (auto* const queue : {&shared_->reads, &shared_->writes}) std::ranges::for_each(*queue, excuse);
    shared_->by_kind[index_of(kind)].silent = 0;
}

}  // namespace keepstore
