/// The state that a writer (on an event loop) and its job (on a volume thread) share; see directory_writer.hpp. Safe to
/// call from any thread.
///
/// One job at a time has the turn: only it calls the temp file's functions (read_at apart) and takes batches from the
/// queue. The writer appends, starts a job when there is none, and waits for space or for the job's end.
///
///     pending (small: commit writes all) ──► writing ──► committed
///                                               └──────► failed: append and commit return the error, read_back works
///     any of them ──► abandoned (the writer was destroyed): the temp file is removed, at the end of the turn if a job
///     has it
#pragma once

#include "base/async.hpp"
#include "base/async_condition.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/temp_file.hpp"
#include "volumes/directory/write_queue.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::volumes::directory {

class write_state : public std::enable_shared_from_this<write_state> {
  public:
    using attribute = std::optional<std::pair<std::string, std::vector<std::byte>>>;
    /// Nothing: there is no need to wait.
    using wait_ticket = std::optional<async_condition::ticket>;

    write_state(std::shared_ptr<directory_core> core, const md5_digest& name, std::optional<std::uint64_t> size)
        : core_(std::move(core)), name_(name), size_(size), counted_(core_->queued) {}

    /// A job's turn: held by the closure that runs it, ends when that is destroyed, whether it ran or not.
    class turn {
      public:
        explicit turn(std::shared_ptr<write_state> state) : state_(std::move(state)) {}
        turn(turn&&) noexcept = default;
        turn& operator=(turn&&) = delete;
        ~turn() {
            if (state_) state_->end_turn(on_volume_thread_);
        }
        /// Call when the job runs, on the volume's thread.
        [[nodiscard]] write_state& enter() {
            on_volume_thread_ = true;
            return *state_;
        }
        /// Ends the turn now, on the volume's thread.
        void leave() {
            if (auto s = std::exchange(state_, nullptr)) s->end_turn(true);
        }

      private:
        std::shared_ptr<write_state> state_;
        bool on_volume_thread_ = false;
    };

    // --- For the writer; one call at a time; none blocks. ---

    /// Queues bytes. Returns the error of a failed job.
    [[nodiscard]] result<void> push(const_slice bytes);
    /// Takes the turn if bytes are queued and no job has it. The caller must then start a job.
    [[nodiscard]] bool claim_drain();
    /// Takes the turn. False while a job has it.
    [[nodiscard]] bool claim();
    /// Returns a ticket while a job runs and more than `queue_bytes` are queued (any, while the whole volume has too
    /// many), or the error of a failed job.
    [[nodiscard]] result<wait_ticket> space(std::size_t queue_bytes);
    /// Returns a ticket while a job runs that has not been given up, or the error of a failed job.
    [[nodiscard]] result<wait_ticket> idle();
    /// Sets whether the writer has an alternative now: see deadline::ending_at_stall().
    void set_ends_at_stall(bool yes) noexcept { ends_at_stall_.store(yes, std::memory_order_relaxed); }
    [[nodiscard]] bool ends_at_stall() const noexcept { return ends_at_stall_.load(std::memory_order_relaxed); }
    /// Records the error that the writer returns from now on, unless there is one already. A job that still has the
    /// turn hangs, and is not waited for.
    void give_up(error why);
    /// Waits until that has changed. Awaited in place.
    /// \returns errc::timeout, errc::cancelled.
    [[nodiscard]] awaitable<result<void>> wait(async_condition::ticket ticket, deadline until);
    /// Releases the queue: the writer is being destroyed. \returns the temp file if no job has the turn; the caller
    /// then removes it, on a volume thread.
    [[nodiscard]] std::shared_ptr<temp_file> abandon();
    /// Copies queued bytes from `offset`. \returns 0 if they are in the file (`file` is set then) or beyond the end;
    /// `in_file` is the number of bytes in the file.
    [[nodiscard]] std::size_t read_queued(std::uint64_t offset, std::span<std::byte> into, std::uint64_t& in_file,
                                          std::shared_ptr<temp_file>& file) const;
    /// Returns whether the block is so small that commit writes it.
    [[nodiscard]] bool lazy() const;

    // --- For the job that has the turn; block. ---

    /// Writes queued bytes to the temp file, about `bytes_max` of them.
    [[nodiscard]] result<void> drain(std::size_t bytes_max);
    /// Writes all queued bytes and publishes the block.
    [[nodiscard]] result<void> commit(const attribute& attr, deadline until);

  private:
    [[nodiscard]] result<void> write_queued(std::size_t bytes_max, bool all);
    [[nodiscard]] result<temp_file*> ensure_file();
    void record_failure(const error& why);
    [[nodiscard]] bool abandoned() const;
    void end_turn(bool on_volume_thread) noexcept;

    const std::shared_ptr<directory_core> core_;
    const md5_digest name_;
    const std::optional<std::uint64_t> size_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    write_queue queue_;
    queued_bytes::part counted_;       // What queue_ holds.
    async_condition changed_{mutex_};  // The writer waits here.
    std::size_t wake_at_ = 0;          // Queued bytes at which the writer is woken before the turn ends; 0: not at all.
    std::optional<error> failed_;
    bool busy_ = false;      // A job has the turn.
    bool given_up_ = false;  // That job hangs.
    std::atomic<bool> ends_at_stall_{false};
    bool abandoned_ = false;
    bool committed_ = false;
    bool lazy_ = true;                 // See lazy().
    std::shared_ptr<temp_file> file_;  // Set once, by a job.
};

}  // namespace keepstore::volumes::directory
