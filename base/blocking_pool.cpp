#include "base/blocking_pool.hpp"

#include "base/limits.hpp"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace keepstore {

struct blocking_pool::shared {
    struct entry {
        std::shared_ptr<job> task;
        deadline until;
    };
    struct worker {
        std::optional<entry> current;  // Guarded by mutex.
        bool overdue = false;          // Guarded by mutex.
    };

    explicit shared(options o) : opts(std::move(o)) {}

    const options opts;
    std::mutex mutex;
    std::condition_variable work;      // Workers wait here.
    std::condition_variable monitor;   // The monitor waits here.
    std::condition_variable finished;  // The destructor waits here.
    // Guarded by mutex.
    std::deque<entry> queue;
    std::vector<std::unique_ptr<worker>> workers;
    unsigned idle = 0;
    unsigned alive = 0;
    bool monitor_started = false;
    bool monitor_idle = false;
    bool stopping = false;

    static void name_thread(const std::string& name) {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());  // 15 characters is the kernel's limit.
    }

    void start_worker(const std::shared_ptr<shared>& self) {
        workers.push_back(std::make_unique<worker>());
        worker* const me = workers.back().get();
        ++alive;
        std::thread([self, me] { self->work_loop(*me); }).detach();
    }

    void work_loop(worker& me) {
        name_thread(opts.name);
        std::shared_ptr<job> finished_task;  // Destroyed outside the lock: it may release buffers.
        std::unique_lock lock(mutex);
        while (true) {
            if (queue.empty() && finished_task) {
                lock.unlock();
                finished_task.reset();
                lock.lock();
            }
            while (queue.empty() && !stopping) {
                ++idle;
                work.wait(lock);
                --idle;
            }
            if (queue.empty()) break;
            me.current.emplace(std::move(queue.front()));
            queue.pop_front();
            me.overdue = false;
            job* const task = me.current->task.get();  // Ours until current is reset, which only we do.
            lock.unlock();
            finished_task.reset();
            task->run();
            lock.lock();
            finished_task = std::move(me.current->task);
            me.current.reset();
        }
        --alive;
        finished.notify_all();
    }

    // Expires calls whose deadline has passed.
    void monitor_loop() {
        name_thread(opts.name + "/mon");
        std::unique_lock lock(mutex);
        while (!stopping) {
            std::vector<std::shared_ptr<job>> late;
            bool busy = false;
            for (auto& w : workers) {
                if (!w->current) continue;
                busy = true;
                if (!w->overdue && w->current->until.passed()) {
                    w->overdue = true;
                    late.push_back(w->current->task);
                }
            }
            busy = busy || !queue.empty();
            std::erase_if(queue, [&](entry& e) {
                if (!e.until.passed()) return false;
                e.task->abandon();
                late.push_back(std::move(e.task));
                return true;
            });
            if (!late.empty()) {
                lock.unlock();
                for (auto& task : late) task->expire();
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

    bool enqueue(const std::shared_ptr<shared>& self, entry e) {
        const std::lock_guard lock(mutex);
        if (stopping || queue.size() >= opts.queue_max) return false;
        queue.push_back(std::move(e));
        if (idle >= queue.size()) {
            work.notify_one();
        } else if (workers.size() < opts.threads_max) {
            start_worker(self);
        } else if (idle > 0) {
            work.notify_one();
        }
        if (!monitor_started) {
            monitor_started = true;
            ++alive;
            std::thread([self] { self->monitor_loop(); }).detach();
        } else if (monitor_idle) {
            monitor.notify_one();
        }
        return true;
    }
};

blocking_pool::blocking_pool(options o) : shared_(std::make_shared<shared>(std::move(o))) {}

blocking_pool::~blocking_pool() {
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    std::deque<shared::entry> dropped;
    dropped.swap(shared_->queue);
    shared_->work.notify_all();
    shared_->monitor.notify_all();
    shared_->finished.wait_for(lock, limits::blocking_stop_wait, [&] { return shared_->alive == 0; });
    lock.unlock();
    for (auto& e : dropped) e.task->expire();
}

bool blocking_pool::submit(std::shared_ptr<job> task, deadline until) {
    return shared_->enqueue(shared_, {std::move(task), until});
}

bool blocking_pool::post(std::move_only_function<void()> call) {
    class plain_job final : public job {
      public:
        explicit plain_job(std::move_only_function<void()> c) : call_(std::move(c)) {}
        void run() override { call_(); }
        void expire() override {}

      private:
        std::move_only_function<void()> call_;
    };
    return submit(std::make_shared<plain_job>(std::move(call)), deadline::never());
}

blocking_pool::stats blocking_pool::snapshot() const {
    const std::lock_guard lock(shared_->mutex);
    stats s{.queued = shared_->queue.size(), .running = 0, .overdue = 0};
    for (const auto& w : shared_->workers) {
        if (!w->current) continue;
        ++s.running;
        if (w->overdue) ++s.overdue;
    }
    return s;
}

}  // namespace keepstore
