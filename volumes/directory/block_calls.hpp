/// Calls that change one block take turns before they take a thread. Touch, trash and untrash hold the block's flock
/// (open_locked), and a thread that waits for it can only poll: many clients of one hot block would put all threads of
/// the volume to sleep, waiting for one another. So only the first call of a block is given to a thread; the others
/// wait as coroutines. Locks of other processes are still waited for, by one thread for each block.
///
/// Touches share: those that arrive before a touch begins are served by that one, as in fsync_group_commit. One that is
/// running does not serve them, since its sync may have begun before they came.
///
/// Safe to use from any thread; nothing blocks. Memory: an entry for each block with a call, bounded by the requests.
#pragma once

#include "base/async.hpp"
#include "base/blocking_pool.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "base/wait_until.hpp"
#include "volumes/limits.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace keepstore::volumes::directory {

class block_calls : public std::enable_shared_from_this<block_calls> {
  public:
    /// The pool's calls hold a reference to this, so it holds none to the pool.
    explicit block_calls(std::weak_ptr<blocking_pool> pool) : pool_(std::move(pool)) {}

    /// Runs `call`, which gets its deadline, on a thread of the volume when no other call of this block is running.
    /// Awaited in place. \returns its result; errc::timeout, errc::cancelled, errc::unavailable. A call that has not
    /// begun by then does not run.
    template <class F, class T = std::invoke_result_t<F, deadline>::value_type>
    [[nodiscard]] awaitable<result<T>> run(md5_digest name, F call, deadline until) {
        one_shot<T> done;
        auto mine = std::make_shared<turn>();
        mine->until = until = until.within(limits::volume_call_timeout);
        mine->work = [call = std::move(call), done](deadline limit) mutable { done.set(call(limit)); };
        mine->fail = [done](const error& why) { done.set(std::unexpected(why)); };
        enqueue(name, mine);
        auto value = co_await wait_until(done, until, "volume does not respond");
        if (!value) leave(name, mine);
        co_return value;
    }

    /// Runs `touch` likewise, or joins a touch of this block that has not begun. Awaited in place.
    template <class F>
    [[nodiscard]] awaitable<result<void>> run_touch(md5_digest name, F touch, deadline until) {
        one_shot<std::monostate> done;
        until = until.within(limits::volume_call_timeout);
        const auto mine = join_touch(name, std::move(touch), done, until);
        auto value = co_await wait_until(done, until, "volume does not respond");
        if (value) co_return success();
        leave_touch(name, mine, done);
        co_return std::unexpected(value.error());
    }

    /// Returns the number of blocks with a call that runs or waits, for tests.
    [[nodiscard]] std::size_t blocks() const;

  private:
    struct turn {
        std::move_only_function<void(deadline)> work;
        std::move_only_function<void(const error&)> fail;  // Instead of `work`.
        // Guarded by mutex_:
        deadline until;
        bool left = false;    // Nothing waits for it any more.
        bool shared = false;  // A touch that others may join.
        std::vector<one_shot<std::monostate>> joined;
    };
    /// The first one runs, or is queued at the pool.
    using queue = std::deque<std::shared_ptr<turn>>;
    class job;

    void enqueue(const md5_digest& name, const std::shared_ptr<turn>& mine);
    [[nodiscard]] std::shared_ptr<turn> join_touch(const md5_digest& name,
                                                   std::move_only_function<result<void>(deadline)> touch,
                                                   const one_shot<std::monostate>& done, deadline until);
    void leave(const md5_digest& name, const std::shared_ptr<turn>& mine);
    void leave_locked(const md5_digest& name, const std::shared_ptr<turn>& mine);
    [[nodiscard]] bool is_left(const turn& which) const;
    void leave_touch(const md5_digest& name, const std::shared_ptr<turn>& mine, const one_shot<std::monostate>& done);
    void start(const md5_digest& name, std::shared_ptr<turn> first);
    void end(const md5_digest& name);
    /// Takes the waiters of a touch, which nothing joins any more.
    [[nodiscard]] std::vector<one_shot<std::monostate>> close(turn& touch);

    const std::weak_ptr<blocking_pool> pool_;
    mutable std::mutex mutex_;
    std::map<md5_digest, queue> queues_;  // Guarded by mutex_.
};

}  // namespace keepstore::volumes::directory
