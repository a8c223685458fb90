#include "cloud/credentials/credential_fetch.hpp"

#include "base/cancellable.hpp"
#include "cloud/limits.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <pthread.h>

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace keepstore::cloud {

struct fetch_loop::loop {
    std::optional<asio::io_context> context{std::in_place, 1};

    std::mutex mutex;
    // Guarded by mutex.
    std::shared_ptr<cancellable_task> running;
    bool ended = false;
    std::condition_variable changed;

    void run() {
        pthread_setname_np(pthread_self(), "credentials");
        {
            const auto work = asio::make_work_guard(*context);
            context->run();
        }
        // Waits until the thread that called stop() has released the context.
        {
            const std::lock_guard lock(mutex);
        }
        // On this thread: it waits for name lookups that hang.
        context.reset();
        const std::lock_guard lock(mutex);
        ended = true;
        changed.notify_all();
    }
};

namespace {

awaitable<void> fetch_into(awaitable<result<credentials>> work, std::shared_ptr<result<credentials>> into) {
    *into = co_await std::move(work);
}

}  // namespace

void fetch_loop::start(awaitable<result<credentials>> work, std::move_only_function<void(result<credentials>)> done) {
    if (!loop_) {
        auto fresh = std::make_shared<loop>();
        thread_ = std::thread([fresh] { fresh->run(); });
        loop_ = std::move(fresh);
    }
    auto& l = *loop_;
    const auto t = std::make_shared<cancellable_task>(l.context->get_executor());
    const auto got = std::make_shared<result<credentials>>(fail(errc::io_error, "internal error"));
    auto ended = [&l, t, got, done = std::move(done)](const std::exception_ptr&) mutable {
        t->end();
        {
            const std::lock_guard lock(l.mutex);
            l.running.reset();
        }
        done(std::move(*got));
        l.changed.notify_all();
    };
    {
        const std::lock_guard lock(l.mutex);
        l.running = t;
    }
    spawn(t->executor(), run_cancellable(fetch_into(std::move(work), got)), t->slot(), std::move(ended));
}

bool fetch_loop::cancel() {
    if (!loop_) return true;
    std::unique_lock lock(loop_->mutex);
    if (!loop_->running) return true;
    loop_->running->cancel();
    if (loop_->changed.wait_for(lock, limits::credentials_stop_wait, [this] { return !loop_->running; })) return true;
    thread_.detach();
    return false;
}

fetch_loop::~fetch_loop() {
    if (!thread_.joinable()) return;
    std::unique_lock lock(loop_->mutex);
    loop_->context->stop();
    const bool ended = loop_->changed.wait_for(lock, limits::credentials_stop_wait, [this] { return loop_->ended; });
    lock.unlock();
    if (ended) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

}  // namespace keepstore::cloud
