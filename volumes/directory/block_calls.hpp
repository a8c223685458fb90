/// Calls that change one block take turns before they take a thread. Touch, trash and untrash hold the block's flock
/// (open_locked), and a thread that waits for it can only poll: many clients of one hot block would put all threads of
/// the volume to sleep, waiting for one another. So only the first call of a block is given to a thread; the others
/// wait as coroutines. Locks of other processes are still waited for, by one thread for each block.
///
/// The line is its own, not an async_semaphore: the next turn is started by the one that ends, whatever became of its
/// caller, and touches in the line are merged.
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
#include "volumes/limits.hpp"

#include <chrono>
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
    /// The pool's calls hold a reference to this, so it holds none to the pool. `silence_max` is that of the pool.
    explicit block_calls(std::weak_ptr<blocking_pool> pool,
                         std::chrono::milliseconds silence_max = limits::volume_silence_max)
        : pool_(std::move(pool)), silence_max_(silence_max) {}

    /// Runs `call`, which gets its deadline, on a thread of the volume when no other call of this block is running.
    /// Awaited in place. \returns its result; errc::timeout, errc::cancelled; errc::unavailable as from the pool. A
    /// call that has not begun by then does not run.
    template <class F, class T = std::invoke_result_t<F, deadline>::value_type>
    [[nodiscard]] awaitable<result<T>> run(md5_digest name, F call, deadline until) {
        KS_CO_CHECK(admit(until));
        const auto mine = std::make_shared<single_call<F, T>>(std::move(call), until.within(limits::volume_call_max));
        KS_CO_CHECK(co_await run_turn(name, mine));
        co_return std::move(*mine->outcome);
    }

    using touch_call = std::move_only_function<result<void>(deadline)>;
    /// Runs `touch` likewise, or joins a touch of this block that has not begun. Awaited in place.
    [[nodiscard]] awaitable<result<void>> run_touch(md5_digest name, touch_call touch, deadline until);

  private:
    /// A call, from its arrival to its end.
    struct turn {
        explicit turn(deadline limit) : until(limit) {}
        virtual ~turn() = default;
        /// Runs the call. \returns its error, or nullptr.
        virtual const error* work(deadline limit) = 0;
        /// Gives the outcome to the waiters.
        virtual void deliver() = 0;
        /// Ends the waits without one. With mutex_ held. `stalled`: only of those that would not wait for that.
        virtual void fail(const error& why, bool stalled) = 0;
        [[nodiscard]] virtual bool ends_at_stall() const noexcept { return until.ends_at_stall(); }

        // Guarded by mutex_:
        deadline until;
        bool left = false;  // Nothing waits for it any more.
    };
    /// The turn of a call with one waiter, which takes the outcome out of it.
    struct single_turn : turn {
        using turn::turn;
        void deliver() final;
        void fail(const error& why, bool stalled) final;
        [[nodiscard]] virtual bool has_outcome() const noexcept = 0;
        one_shot<std::monostate> done;  ///< The outcome is there, or will not be waited for.
    };
    template <class F, class T>
    struct single_call final : single_turn {
        single_call(F c, deadline limit) : single_turn(limit), call(std::move(c)) {}
        const error* work(deadline limit) override {
            outcome.emplace(call(limit));
            return *outcome ? nullptr : &outcome->error();
        }
        [[nodiscard]] bool has_outcome() const noexcept override { return outcome.has_value(); }
        F call;
        std::optional<result<T>> outcome;  ///< The waiter's once `done` is set.
    };
    struct touch_turn;
    class job;
    /// The first one runs, or is queued at the pool.
    using queue = std::deque<std::shared_ptr<turn>>;

    /// errc::unavailable while the volume stalls, for a caller that has an alternative.
    [[nodiscard]] result<void> admit(deadline until) const;
    /// Queues the turn and waits for it.
    [[nodiscard]] awaitable<result<void>> run_turn(md5_digest name, std::shared_ptr<single_turn> mine);
    void enqueue(const md5_digest& name, const std::shared_ptr<turn>& mine);
    /// Takes the turn out of the line. With mutex_ held.
    void leave(const md5_digest& name, const std::shared_ptr<turn>& mine);
    /// Lets nothing join the turn any more. With mutex_ held.
    void close(const md5_digest& name, const std::shared_ptr<turn>& mine);
    /// Returns whether the turn still has waiters; nothing joins it from now on.
    [[nodiscard]] bool begin(const md5_digest& name, const std::shared_ptr<turn>& mine);
    /// Ends the waits of the block's calls that would go to another volume; all of them after the longest silence.
    void stalled(const md5_digest& name, const error& why);
    void start(const md5_digest& name, std::shared_ptr<turn> first);
    void end(const md5_digest& name, const std::shared_ptr<turn>& mine);

    const std::weak_ptr<blocking_pool> pool_;
    const std::chrono::milliseconds silence_max_;
    std::mutex mutex_;
    // Guarded by mutex_.
    std::map<md5_digest, queue> queues_;
    std::map<md5_digest, std::shared_ptr<touch_turn>> joinable_;  // A touch that has not begun, last in its queue.
};

}  // namespace keepstore::volumes::directory
