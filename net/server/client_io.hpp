/// Reads and writes of one session, and their state for the loop's tick: since when the session waits for its client,
/// how much has moved, and whether the work was cancelled. Also limits the kernel's send buffer by how fast the client
/// reads (limits::unsent_bytes_*).
///
/// Used on the session's executor only.
#pragma once

#include "base/limits.hpp"
#include "net/http/stream.hpp"
#include "net/limits.hpp"
#include "net/server/server_exchange.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

struct iovec;

namespace keepstore::net {

/// Called when a client that was reported as stalled has caught up.
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

    client_io(std::unique_ptr<stream> s, stall_listener& listener) noexcept
        : stream_(std::move(s)), listener_(listener) {}

    [[nodiscard]] stream& peer() noexcept { return *stream_; }
    [[nodiscard]] const stream& peer() const noexcept { return *stream_; }

    /// Suspends until the socket is ready. \returns false if the wait was interrupted (stopped()).
    [[nodiscard]] awaitable<bool> wait(direction);
    /// Reads at least one byte. \returns 0 if the client is gone, or the wait was interrupted.
    [[nodiscard]] awaitable<std::size_t> read_some(std::span<std::byte> into);
    /// Writes everything, changing the vectors. Bytes of the vector at `counted` are added to counted_bytes().
    /// \returns false if the client is gone, or the wait was interrupted.
    [[nodiscard]] awaitable<bool> write_all(std::span<iovec> buffers, std::size_t counted);
    /// Writes as much as is possible without waiting, pending output of the stream first, and removes it from the
    /// vectors. \returns the status of the last attempt; ok when nothing is left or should_yield().
    [[nodiscard]] io_status try_write_all(std::span<iovec>& buffers, std::size_t& counted);
    /// As try_write_all, but yields when due, and with `wait_briefly` waits up to limits::slow_reader_wait in all for a
    /// client that is nearly keeping up. The rest stays in the vectors.
    /// \returns false if the client is gone, or the wait was interrupted.
    [[nodiscard]] awaitable<bool> write_some(std::span<iovec>& buffers, std::size_t& counted, bool wait_briefly);
    /// Whether everything was sent: these vectors, and the stream's pending output.
    [[nodiscard]] bool all_sent(std::span<const iovec> buffers) const noexcept {
        return buffers.empty() && !stream_->has_pending_output();
    }
    /// Suspends until the socket has room. \returns false if the client is gone, or the wait was interrupted.
    [[nodiscard]] awaitable<bool> wait_writable();

    /// One attempt to read, counted.
    [[nodiscard]] io_outcome try_read(std::span<std::byte> into) noexcept;
    /// Whether the session has moved limits::bytes_per_turn_max without a wait: yield() lets other sessions run.
    [[nodiscard]] bool should_yield() const noexcept;
    [[nodiscard]] awaitable<void> yield();
    void charge_turn(std::size_t bytes) noexcept { turn_bytes_ += bytes; }

    // --- interruption -------------------------------------------------------------------------------------------
    /// The request's work was cancelled: waits end, unless a final response is allowed.
    void interrupt(cancel_reason reason) noexcept { reason_ = reason; }
    void allow_final_response() noexcept { final_response_allowed_ = true; }
    /// The session must end.
    void kill() noexcept { killed_ = true; }
    void new_request() noexcept {
        reason_ = cancel_reason::none;
        final_response_allowed_ = false;
        stalled_ = false;
        debt_ = {};
        kept_up_bytes_ = 0;
    }
    [[nodiscard]] cancel_reason reason() const noexcept { return reason_; }
    /// The error after a transfer that ended early: errc::timeout with `too_slow` for a slow client, else
    /// errc::cancelled. If nothing interrupted it the client is gone, which is noted.
    [[nodiscard]] std::unexpected<error> why_stopped(const char* too_slow);
    [[nodiscard]] bool killed() const noexcept { return killed_; }
    [[nodiscard]] bool final_response_allowed() const noexcept { return final_response_allowed_; }
    [[nodiscard]] bool stopped() const noexcept {
        return killed_ || (reason_ != cancel_reason::none && !final_response_allowed_);
    }

    // --- for the tick -------------------------------------------------------------------------------------------
    [[nodiscard]] bool waiting() const noexcept { return waiting_; }
    /// All time that the session has waited for its client, the wait under way included: many short waits for a client
    /// that dribbles are as long as one for a client that is silent.
    [[nodiscard]] clock::duration waited(clock::time_point now) const noexcept {
        return waited_ + (waiting_ ? now - waiting_since_ : clock::duration{});
    }
    /// Ends the wait of a write_some() that has lasted limits::slow_reader_wait.
    void end_brief_wait(clock::time_point now) noexcept;
    /// How much longer the session has waited for its client than a client of limits::stall_rate_bytes would take for
    /// the same bytes. A client that dribbles costs as much as one that is silent.
    [[nodiscard]] clock::duration client_wait(clock::time_point now) const noexcept {
        return debt_ + (waiting_ ? now - waiting_since_ : clock::duration{});
    }
    /// Whether the socket is ready, although the session still waits: then this process is late, not the client.
    [[nodiscard]] bool is_ready() const noexcept;
    [[nodiscard]] bool stalled() const noexcept { return stalled_; }
    /// Ended by caught_up().
    void mark_stalled(clock::time_point now) noexcept;
    /// The client has made up for its waits, or its whole body was received.
    void caught_up() noexcept;
    /// Received and acknowledged by the client.
    [[nodiscard]] std::uint64_t progress() const noexcept { return received_ + stream_->acknowledged_bytes(); }

    [[nodiscard]] std::uint64_t counted_bytes() const noexcept { return counted_; }
    void reset_counted() noexcept { counted_ = 0; }
    /// Whether a write did not fit since the socket last had room (wait_writable()), so that the next may have to wait.
    [[nodiscard]] bool output_full() const noexcept { return output_full_; }

  private:
    void note_waited(clock::time_point now) noexcept;
    void note_moved(std::size_t bytes) noexcept;
    void note_sent(std::size_t bytes) noexcept;
    void measure_slow_reader(clock::time_point now) noexcept;
    void limit_unsent(std::size_t bytes) noexcept;

    const std::unique_ptr<stream> stream_;
    stall_listener& listener_;
    cancel_reason reason_ = cancel_reason::none;
    bool killed_ = false;
    bool final_response_allowed_ = false;
    bool waiting_ = false;
    bool stalled_ = false;
    bool output_full_ = false;
    direction read_needs_ = direction::input;  ///< TLS may need the other direction.
    direction write_needs_ = direction::output;
    clock::time_point waiting_since_;
    clock::duration waited_{};                           ///< In waits that have ended.
    std::optional<clock::time_point> brief_wait_since_;  ///< The first wait of the write_some() under way.
    bool brief_wait_over_ = false;                       ///< In the wait under way.
    std::uint64_t received_ = 0;
    std::uint64_t counted_ = 0;
    std::size_t turn_bytes_ = 0;
    short waits_for_ = 0;                                    ///< POLLIN or POLLOUT, of the wait under way.
    clock::duration debt_{};                                 ///< See client_wait(); at most limits::stall_memory.
    std::size_t kept_up_bytes_ = 0;                          ///< Sent since the client last stalled.
    std::size_t unsent_limit_ = limits::unsent_bytes_first;  ///< Of the socket, which has it from the listening one.
    std::size_t measured_bytes_ = 0;                         ///< Sent to a stalled reader since measured_since_.
    clock::time_point measured_since_;
};

}  // namespace keepstore::net
