#include "net/server/client_io.hpp"

#include "base/limits.hpp"
#include "net/limits.hpp"

#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <ratio>

namespace keepstore::net {

awaitable<bool> client_io::wait(direction wanted) {
    if (wanted == direction::input && stream_->has_buffered_input()) co_return !stopped();
    const auto needs = wanted == direction::input ? read_needs_ : write_needs_;
    const auto type = needs == direction::input ? stream::socket_type::wait_read : stream::socket_type::wait_write;
    waits_for_ = needs == direction::input ? POLLIN : POLLOUT;
    waiting_since_ = clock::now();
    while (true) {
        if (stopped()) co_return false;
        waiting_ = true;
        brief_wait_over_ = false;
        auto [code] = co_await stream_->socket().async_wait(type, use_tuple);
        waiting_ = false;
        note_waited(clock::now());
        turn_bytes_ = 0;
        if (stopped()) co_return false;
        // A brief wait that is over: write_some() checks the clock itself.
        if (code != asio::error::operation_aborted || brief_wait_over_) co_return true;
        // A cancellation sent before the final response was allowed may arrive late: wait again.
        if (!final_response_allowed_) co_return false;
    }
}

io_outcome client_io::try_read(std::span<std::byte> into) noexcept {
    const auto outcome = stream_->try_read(into);
    received_ += outcome.bytes;
    turn_bytes_ += outcome.bytes;
    note_moved(outcome.bytes);
    read_needs_ = outcome.status == io_status::want_write ? direction::output : direction::input;
    return outcome;
}

awaitable<std::size_t> client_io::read_some(std::span<std::byte> into) {
    while (true) {
        if (stopped()) co_return 0;
        if (should_yield()) co_await yield();
        const auto outcome = try_read(into);
        if (outcome.status == io_status::ok) co_return outcome.bytes;
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) co_return 0;
        const bool go_on = co_await wait(direction::input);
        if (!go_on) co_return 0;
    }
}

io_status client_io::try_write_all(std::span<iovec>& buffers, std::size_t& counted) {
    while (!all_sent(buffers) && !should_yield()) {
        const auto outcome = stream_->try_write(buffers);
        if (outcome.status != io_status::ok || stream_->has_pending_output()) output_full_ = true;
        write_needs_ = outcome.status == io_status::want_read ? direction::input : direction::output;
        if (outcome.status != io_status::ok) return outcome.status;
        turn_bytes_ += outcome.bytes;
        note_moved(outcome.bytes);
        note_sent(outcome.bytes);
        std::size_t left = outcome.bytes;
        while (!buffers.empty() && left >= buffers.front().iov_len) {
            left -= buffers.front().iov_len;
            if (counted == 0) counted_ += buffers.front().iov_len;
            --counted;  // Wraps around once passed; no list of buffers is that long.
            buffers = buffers.subspan(1);
        }
        if (left == 0) continue;
        if (counted == 0) counted_ += left;
        buffers.front().iov_base = static_cast<std::byte*>(buffers.front().iov_base) + left;
        buffers.front().iov_len -= left;
    }
    return io_status::ok;
}

awaitable<bool> client_io::write_all(std::span<iovec> buffers, std::size_t counted) {
    while (true) {
        if (stopped()) co_return false;
        const auto status = try_write_all(buffers, counted);
        if (status == io_status::failed || status == io_status::closed) co_return false;
        if (all_sent(buffers)) co_return true;
        if (status == io_status::ok) {
            co_await yield();
            continue;
        }
        const bool go_on = co_await wait(direction::output);
        if (!go_on) co_return false;
    }
}

awaitable<bool> client_io::write_some(std::span<iovec>& buffers, std::size_t& counted, bool wait_briefly) {
    brief_wait_since_.reset();
    bool go_on = true;
    while (go_on) {
        if (stopped()) {
            go_on = false;
            break;
        }
        const auto status = try_write_all(buffers, counted);
        if (status == io_status::failed || status == io_status::closed) {
            go_on = false;
            break;
        }
        if (buffers.empty()) break;
        if (status == io_status::ok) {
            co_await yield();
            continue;
        }
        if (!wait_briefly) break;
        // The limit is on all waits of the call: a client that takes little at a time gets no more than a silent one.
        const auto now = clock::now();
        if (!brief_wait_since_) brief_wait_since_ = now;
        if (now - *brief_wait_since_ >= limits::slow_reader_wait) break;
        go_on = co_await wait(direction::output);
    }
    brief_wait_since_.reset();
    co_return go_on;
}

awaitable<bool> client_io::wait_writable() {
    while (true) {
        if (stopped()) co_return false;
        std::span<iovec> nothing;
        std::size_t none = 0;
        const auto status = try_write_all(nothing, none);
        if (status == io_status::failed || status == io_status::closed) co_return false;
        if (!stream_->has_pending_output()) {
            pollfd ask{stream_->socket().native_handle(), POLLOUT, 0};
            if (::poll(&ask, 1, 0) == 1) {
                output_full_ = false;
                co_return true;
            }
        }
        const bool go_on = co_await wait(direction::output);
        if (!go_on) co_return false;
    }
}

std::unexpected<error> client_io::why_stopped(const char* too_slow) {
    switch (reason_) {
        case cancel_reason::too_slow:
            return fail(errc::timeout, too_slow);
        case cancel_reason::none:
            interrupt(cancel_reason::client_gone);
            return fail(errc::cancelled, "client closed the connection");
        default:
            return fail(errc::cancelled);
    }
}

void client_io::end_brief_wait(clock::time_point now) noexcept {
    if (!waiting_ || !brief_wait_since_ || now - *brief_wait_since_ < limits::slow_reader_wait) return;
    // The wait is the socket's only operation. Cancelling does not affect one that has just completed.
    brief_wait_over_ = true;
    // The client is slow: it counts as stalled from now on, too.
    debt_ = std::max<clock::duration>(debt_, limits::stall_threshold);
    boost::system::error_code ignored;
    stream_->socket().cancel(ignored);
}

bool client_io::is_ready() const noexcept {
    if (!waiting_) return true;
    pollfd ask{stream_->socket().native_handle(), waits_for_, 0};
    return ::poll(&ask, 1, 0) == 1;
}

void client_io::mark_stalled(clock::time_point now) noexcept {
    stalled_ = true;
    kept_up_bytes_ = 0;
    measured_bytes_ = 0;
    measured_since_ = now;
    if (waits_for_ == POLLOUT) limit_unsent(limits::unsent_bytes_min);
}

void client_io::caught_up() noexcept {
    debt_ = {};
    if (!stalled_) return;
    stalled_ = false;
    listener_.stall_ended();
}

void client_io::note_waited(clock::time_point now) noexcept {
    waited_ += now - waiting_since_;
    debt_ = std::min<clock::duration>(debt_ + (now - waiting_since_), limits::stall_memory);
    waiting_since_ = now;
    if (stalled_ && waits_for_ == POLLOUT) measure_slow_reader(now);
}

void client_io::note_moved(std::size_t bytes) noexcept {
    if (debt_ == clock::duration::zero()) return;
    const auto paid = std::chrono::nanoseconds(bytes * std::nano::den / limits::stall_rate_bytes);
    debt_ = paid < debt_ ? debt_ - paid : clock::duration::zero();
    if (debt_ == clock::duration::zero()) caught_up();
}

void client_io::note_sent(std::size_t bytes) noexcept {
    if (unsent_limit_ == 0) return;
    if (stalled_) {
        measured_bytes_ += bytes;
        return;
    }
    kept_up_bytes_ += bytes;
    if (kept_up_bytes_ >= limits::keeps_up_bytes) limit_unsent(0);
}

void client_io::measure_slow_reader(clock::time_point now) noexcept {
    const auto passed = now - measured_since_;
    if (passed < limits::unsent_time) return;
    const double share = std::chrono::duration<double>(limits::unsent_time) / passed;
    const auto taken = static_cast<std::size_t>(static_cast<double>(measured_bytes_) * share);
    measured_bytes_ = 0;
    measured_since_ = now;
    const std::size_t wanted = std::clamp(taken, limits::unsent_bytes_min, limits::unsent_bytes_max);
    // Not for each fluctuation: it is a system call.
    if (wanted > unsent_limit_ / 2 * 3 || wanted < unsent_limit_ / 3 * 2) limit_unsent(wanted);
}

void client_io::limit_unsent(std::size_t bytes) noexcept {
    unsent_limit_ = bytes;
    stream_->limit_unsent(bytes);
}

bool client_io::should_yield() const noexcept {
    return turn_bytes_ >= limits::bytes_per_turn_max;
}

awaitable<void> client_io::yield() {
    turn_bytes_ = 0;
    co_await yield_to_loop();
}

}  // namespace keepstore::net
