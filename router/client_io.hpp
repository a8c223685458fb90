/// Reads and writes of one session, with what the loop's tick has to know about them: since when the session waits for
/// its client, how much has moved, and whether the work was cancelled meanwhile.
///
/// Used on the session's executor only.
#pragma once

#include "router/connection.hpp"
#include "router/exchange.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

struct iovec;

namespace keepstore::router {

/// Told when the wait for a client that was reported as stalled ends.
class stall_listener {
  public:
    virtual void stall_ended() noexcept = 0;

  protected:
    ~stall_listener() = default;
};

enum class direction { input, output };

class client_io {
  public:
    using clock = std::chrono::steady_clock;

    client_io(std::unique_ptr<connection> c, stall_listener& listener) noexcept
        : connection_(std::move(c)), listener_(listener) {}

    [[nodiscard]] connection& peer() noexcept { return *connection_; }
    [[nodiscard]] const connection& peer() const noexcept { return *connection_; }

    /// Suspends until the socket is ready. \returns false if the wait was interrupted (see stopped()).
    [[nodiscard]] awaitable<bool> wait(direction);
    /// Reads at least one byte. 0: the client is gone, or interrupted.
    [[nodiscard]] awaitable<std::size_t> read_some(std::span<std::byte> into);
    /// Writes everything, changing the vectors. Bytes of the vector at `counted` are added to counted_bytes().
    /// \returns false if the client is gone, or interrupted.
    [[nodiscard]] awaitable<bool> write_all(std::span<iovec> buffers, std::size_t counted);
    /// As much of write_all as goes without waiting: removes what was written from the vectors.
    /// \returns the status of the last attempt; ok when nothing is left.
    [[nodiscard]] io_status try_write_all(std::span<iovec>& buffers, std::size_t& counted);

    /// One attempt to read, counted.
    [[nodiscard]] io_outcome try_read(std::span<std::byte> into) noexcept;
    /// Lets other sessions of the loop run if this one has used up its turn.
    [[nodiscard]] bool turn_is_over() const noexcept;
    [[nodiscard]] awaitable<void> give_turn();
    void use_turn(std::size_t bytes) noexcept { turn_bytes_ += bytes; }

    // --- interruption -------------------------------------------------------------------------------------------
    /// The request's work was cancelled: waits end, except while last words are allowed.
    void interrupt(cancel_reason reason) noexcept { reason_ = reason; }
    void allow_last_words() noexcept { last_words_ = true; }
    /// The session must end.
    void kill() noexcept { killed_ = true; }
    void new_request() noexcept {
        reason_ = cancel_reason::none;
        last_words_ = false;
        stalled_ = false;
        moved_ = 0;
        waited_ = {};
    }
    [[nodiscard]] cancel_reason reason() const noexcept { return reason_; }
    [[nodiscard]] bool killed() const noexcept { return killed_; }
    [[nodiscard]] bool last_words() const noexcept { return last_words_; }
    [[nodiscard]] bool stopped() const noexcept {
        return killed_ || (reason_ != cancel_reason::none && !last_words_);
    }

    // --- for the tick -------------------------------------------------------------------------------------------
    [[nodiscard]] bool waiting() const noexcept { return waiting_; }
    [[nodiscard]] clock::time_point waiting_since() const noexcept { return waiting_since_; }
    /// How long the session has waited for its client since the client last moved limits::stall_progress_bytes. A client
    /// that dribbles makes it wait as much as one that is silent.
    [[nodiscard]] clock::duration client_wait(clock::time_point now) const noexcept {
        return waited_ + (waiting_ ? now - waiting_since_ : clock::duration{});
    }
    [[nodiscard]] bool stalled() const noexcept { return stalled_; }
    /// From here until the client has moved as much again.
    void mark_stalled() noexcept { stalled_ = true; }
    /// Received and acknowledged by the client.
    [[nodiscard]] std::uint64_t progress() const noexcept { return received_ + connection_->acknowledged_bytes(); }

    [[nodiscard]] std::uint64_t counted_bytes() const noexcept { return counted_; }
    void reset_counted() noexcept { counted_ = 0; }
    /// Whether the last write did not fit, so that the next may have to wait.
    [[nodiscard]] bool output_full() const noexcept { return output_full_; }

  private:
    void note_moved(std::size_t bytes) noexcept;

    const std::unique_ptr<connection> connection_;
    stall_listener& listener_;
    cancel_reason reason_ = cancel_reason::none;
    bool killed_ = false;
    bool last_words_ = false;
    bool waiting_ = false;
    bool stalled_ = false;
    bool output_full_ = false;
    direction read_needs_ = direction::input;    ///< TLS may need the other direction.
    direction write_needs_ = direction::output;
    clock::time_point waiting_since_;
    std::uint64_t received_ = 0;
    std::uint64_t counted_ = 0;
    std::size_t turn_bytes_ = 0;
    std::size_t moved_ = 0;      ///< Since waited_ was last set to zero.
    clock::duration waited_{};  ///< In waits that are over.
};

}  // namespace keepstore::router
