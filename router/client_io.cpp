#include "router/client_io.hpp"

#include "base/limits.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <sys/uio.h>

namespace keepstore::router {

awaitable<bool> client_io::wait(direction what) {
    if (what == direction::input && connection_->has_buffered_input()) co_return !stopped();
    const auto needs = what == direction::input ? read_needs_ : write_needs_;
    const auto type = needs == direction::input ? connection::socket_type::wait_read : connection::socket_type::wait_write;
    waiting_since_ = clock::now();
    for (;;) {
        if (stopped()) co_return false;
        waiting_ = true;
        auto [code] = co_await connection_->socket().async_wait(type, use_tuple);
        waiting_ = false;
        const auto now = clock::now();
        waited_ += now - waiting_since_;
        waiting_since_ = now;
        turn_bytes_ = 0;
        if (stopped()) co_return false;
        // A cancellation sent before last words were allowed may arrive late: wait again.
        if (code != asio::error::operation_aborted) co_return true;
        if (!last_words_) co_return false;
    }
}

io_outcome client_io::try_read(std::span<std::byte> into) noexcept {
    const auto outcome = connection_->try_read(into);
    received_ += outcome.bytes;
    turn_bytes_ += outcome.bytes;
    note_moved(outcome.bytes);
    read_needs_ = outcome.status == io_status::want_write ? direction::output : direction::input;
    return outcome;
}

awaitable<std::size_t> client_io::read_some(std::span<std::byte> into) {
    for (;;) {
        if (stopped()) co_return 0;
        if (turn_is_over()) co_await give_turn();
        const auto outcome = try_read(into);
        if (outcome.status == io_status::ok) co_return outcome.bytes;
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) co_return 0;
        const bool go_on = co_await wait(direction::input);
        if (!go_on) co_return 0;
    }
}

io_status client_io::try_write_all(std::span<iovec>& buffers, std::size_t& counted) {
    while (!buffers.empty() && !turn_is_over()) {
        const auto outcome = connection_->try_write(buffers);
        output_full_ = outcome.status != io_status::ok;
        write_needs_ = outcome.status == io_status::want_read ? direction::input : direction::output;
        if (outcome.status != io_status::ok) return outcome.status;
        turn_bytes_ += outcome.bytes;
        note_moved(outcome.bytes);
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
    for (;;) {
        if (stopped()) co_return false;
        const auto status = try_write_all(buffers, counted);
        if (status == io_status::failed || status == io_status::closed) co_return false;
        if (buffers.empty()) co_return true;
        if (status == io_status::ok) {
            co_await give_turn();
            continue;
        }
        const bool go_on = co_await wait(direction::output);
        if (!go_on) co_return false;
    }
}

void client_io::note_moved(std::size_t bytes) noexcept {
    moved_ += bytes;
    if (moved_ < limits::stall_progress_bytes) return;
    moved_ = 0;
    waited_ = {};
    if (!stalled_) return;
    stalled_ = false;
    listener_.stall_ended();
}

bool client_io::turn_is_over() const noexcept { return turn_bytes_ >= limits::bytes_per_turn_max; }

awaitable<void> client_io::give_turn() {
    turn_bytes_ = 0;
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

}  // namespace keepstore::router
