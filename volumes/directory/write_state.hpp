/// What a writer and its job share (see directory_writer.hpp).
#pragma once

#include "base/async.hpp"
#include "volumes/directory/directory_core.hpp"
#include "volumes/directory/temp_file.hpp"
#include "volumes/directory/write_queue.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

namespace keepstore::volumes::directory {

class write_state : public std::enable_shared_from_this<write_state> {
  public:
    using attribute = std::optional<std::pair<std::string, std::vector<std::byte>>>;
    using signal = one_shot<std::monostate>;

    write_state(std::shared_ptr<directory_core> core, const md5_digest& name, std::optional<std::uint64_t> size)
        : core_(std::move(core)), name_(name), size_(size) {}

    /// A job's turn: held by the closure that runs it, ends when that is destroyed, run or not.
    class turn {
      public:
        explicit turn(std::shared_ptr<write_state> state) : state_(std::move(state)) {}
        turn(turn&&) noexcept = default;
        turn& operator=(turn&&) = delete;
        ~turn() {
            if (state_) state_->end_turn(on_volume_thread_);
        }
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

    // --- for the writer; none blocks ---
    [[nodiscard]] result<void> push(const_slice bytes);
    /// Whether bytes wait and no job runs; the caller then has the turn and must start a job with it.
    [[nodiscard]] bool claim_drain();
    /// Takes the turn whatever waits. False while a job runs.
    [[nodiscard]] bool claim();
    struct wait_for {
        std::optional<error> failed;
        std::optional<signal> wake;  ///< Set when the caller has to wait: it fires when something changed.
    };
    /// What append must do while more than `queue_bytes` wait.
    [[nodiscard]] wait_for space(std::size_t queue_bytes);
    /// What commit and read_back must do while a job runs.
    [[nodiscard]] wait_for idle();
    void fail_with(error why);
    /// The writer is gone. \returns the temp file if it has to be removed now, by the caller, on a volume thread.
    [[nodiscard]] std::shared_ptr<temp_file> abandon();
    /// Copies what waits at `offset`; 0 if it is in the file (`file` is set then) or beyond the end.
    [[nodiscard]] std::size_t read_waiting(std::uint64_t offset, std::span<std::byte> into, std::uint64_t& in_file,
                                           std::shared_ptr<temp_file>& file) const;
    [[nodiscard]] bool lazy() const;

    // --- for the job; may block ---
    [[nodiscard]] result<void> drain(std::size_t bytes_max);
    [[nodiscard]] result<void> commit(const attribute& attr, deadline until);

  private:
    [[nodiscard]] result<void> write_waiting(std::size_t bytes_max, bool all);
    [[nodiscard]] result<temp_file*> ensure_file();
    void record_failure(const error& why);
    [[nodiscard]] bool abandoned() const;
    void end_turn(bool on_volume_thread) noexcept;
    void wake(std::optional<signal>& who);

    const std::shared_ptr<directory_core> core_;
    const md5_digest name_;
    const std::optional<std::uint64_t> size_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    write_queue queue_;
    std::size_t wake_at_ = 0;  // Wake the waiter when no more than this waits.
    std::optional<signal> waiter_;
    std::optional<error> failed_;
    bool busy_ = false;  // A job has the turn.
    bool abandoned_ = false;
    bool committed_ = false;
    bool lazy_ = true;                 // Still small enough to be written by commit.
    std::shared_ptr<temp_file> file_;  // Set once, by a job; its write calls are made by who has the turn.
};

}  // namespace keepstore::volumes::directory
