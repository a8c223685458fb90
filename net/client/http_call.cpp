// Connecting and sending; receiving is in http_call_response.cpp.

#include "net/client/http_call.hpp"

#include "net/client/connector.hpp"
#include "net/limits.hpp"

#include <fmt/format.h>
#include <boost/asio/post.hpp>

#include <sys/uio.h>

#include <algorithm>

namespace keepstore::net {
namespace {

constexpr std::size_t vectors_max = 64;  // Of one system call, well under IOV_MAX.

iovec vector_of(std::span<const std::byte> bytes) {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

double seconds_of(steady::duration d) {
    return std::chrono::duration<double>(d).count();
}

}  // namespace

http_call::http_call(std::shared_ptr<connection_pool> pool, endpoint to, phase_limits timing, deadline whole)
    : pool_(std::move(pool)),
      shared_(pool_->shared()),
      to_(std::move(to)),
      timing_(timing),
      whole_(whole),
      waiter_(pool_->timers()) {}

http_call::~http_call() {
    if (phase_ == phase::body) drain();
    if (early_input_) early_input_->owner = nullptr;
    close();
}

void http_call::close() noexcept {
    if (connection_ && request_complete_) connection_->shutdown();
    // Half a request is no use to the server; without a reset the kernel would still deliver what it holds of it.
    if (connection_ && !request_complete_) connection_->close(true);
    connection_.reset();
    place_.release();
}

// --- errors -------------------------------------------------------------------------------------------------------

std::unexpected<error> http_call::fail_with(error e) {
    error_ = std::move(e);
    phase_ = phase::failed;
    close();
    return std::unexpected(*error_);
}

std::unexpected<error> http_call::fail_with(failure f, errc code, std::string_view text) {
    return fail_with(make_failure(shared_, to_, f, code, text).error());
}

std::unexpected<error> http_call::no_response() {
    stale_ = reused_ && !any_byte_;
    return fail_with(failure::no_response, errc::unavailable,
                     any_byte_
                         ? "the connection ended inside the response head"
                         : "the connection ended before a response; the server may have been restarted or overloaded");
}

std::unexpected<error> http_call::source_failed(error e) {
    if (e.cause == failure::body_source) shared_.counters.note(failure::body_source);
    return fail_with(std::move(e));
}

// --- waiting ------------------------------------------------------------------------------------------------------

/// Lets other coroutines of the loop run after much work without a wait, and checks for cancellation.
awaitable<result<void>> http_call::yield() {
    turn_bytes_ = 0;
    co_await yield_to_loop();
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() == asio::cancellation_type::none) co_return success();
    co_return fail_with(failure::cancelled, errc::cancelled, "cancelled");
}

awaitable<result<void>> http_call::wait(io_status status, steady::time_point due, failure late) {
    turn_bytes_ = 0;
    const auto outcome =
        co_await waiter_.wait(connection_->socket(), stream::wait_after(status), std::min(due, whole_.at()));
    if (outcome == waited::ready || outcome == waited::woken) co_return success();
    if (outcome == waited::cancelled) co_return fail_with(failure::cancelled, errc::cancelled, "cancelled");
    const bool reading = late == failure::read_timeout;
    if (whole_.passed()) {
        co_return fail_with(failure::deadline_passed, errc::timeout,
                            reading                               ? "the deadline passed while reading the response"
                            : late == failure::first_byte_timeout ? "the deadline passed while waiting for the response"
                                                                  : "the deadline passed while sending the request");
    }
    if (late == failure::first_byte_timeout) {
        co_return fail_with(late, errc::timeout,
                            fmt::format("no response within {:g} s; the server is overloaded or hangs",
                                        seconds_of(timing_.first_byte)));
    }
    co_return fail_with(
        late, errc::timeout,
        fmt::format("no byte {} for {:g} s; the server or the network hangs",
                    reading ? "of the response came" : "of the request could be sent", seconds_of(timing_.progress)));
}

// --- connecting, sending ------------------------------------------------------------------------------------------

awaitable<result<void>> http_call::connect(bool fresh) {
    auto got = co_await pool_->acquire(to_, waiter_, whole_.at(), fresh);
    if (!got) co_return fail_with(std::move(got.error()));
    place_ = std::move(got->where);
    if (got->reused) {
        connection_ = std::move(got->reused);
        reused_ = true;
        shared_.counters.connections_reused.add();
        co_return success();
    }
    auto opened =
        co_await open_connection(shared_, pool_->lookups(), to_, waiter_, steady::now() + timing_.connect, whole_.at());
    if (!opened) co_return fail_with(std::move(opened.error()));
    connection_ = std::move(*opened);
    co_return success();
}

awaitable<result<void>> http_call::run(const request& r, std::string head, body_feed& feed) {
    phase_ = phase::sending;
    KS_CO_CHECK(co_await send_request(r, head, feed));
    if (phase_ != phase::body) KS_CO_CHECK(co_await read_head());
    // A server that is only slow may have said "100 Continue" by now.
    if (continue_timed_out_ && head_.status < 300) shared_.continues.note_silence(to_, steady::now());
    shared_.counters.responses.add();
    begin_body(r.method == "HEAD");
    co_return success();
}

/// Ends in awaiting_head, or in body if the final head came before the whole request was sent.
awaitable<result<void>> http_call::send_request(const request& r, std::string_view head, body_feed& feed) {
    std::vector<iovec> pieces;
    pieces.reserve(2 + feed.pieces().size());
    pieces.push_back(vector_of(std::as_bytes(std::span(head))));
    if (r.expect_continue && feed.size() > 0) {
        KS_CO_CHECK(co_await send_pieces(pieces));
        if (phase_ != phase::sending) co_return success();
        phase_ = phase::awaiting_continue;
        KS_CO_CHECK(co_await read_head());
        if (phase_ != phase::sending) co_return success();
        pieces.clear();
    }
    const_slice first;
    if (feed.from_source()) {
        auto piece = co_await feed.next();
        if (!piece) co_return source_failed(std::move(piece.error()));
        first = std::move(*piece);
        pieces.push_back(vector_of(first.bytes));
    } else {
        for (const auto& piece : feed.pieces()) {
            if (piece.size() > 0) pieces.push_back(vector_of(piece.bytes));
        }
    }
    KS_CO_CHECK(co_await send_pieces(pieces));
    if (feed.from_source() && first.size() < feed.size()) {
        first = {};
        KS_CO_CHECK(co_await send_rest(feed));
    }
    if (phase_ != phase::sending) co_return success();
    request_complete_ = true;
    phase_ = phase::awaiting_head;
    co_return success();
}

/// The pieces of a source, after the first was sent with the head.
awaitable<result<void>> http_call::send_rest(body_feed& feed) {
    while (phase_ == phase::sending) {
        // A slow source leaves the server much time to refuse the request.
        watch_input();
        auto piece = co_await feed.next();
        if (!piece) co_return source_failed(std::move(piece.error()));
        if (piece->bytes.empty()) co_return success();
        iovec one = vector_of(piece->bytes);
        KS_CO_CHECK(co_await send_pieces({&one, 1}));
    }
    co_return success();
}

/// Sends everything, unless the server takes no more (ends in awaiting_head) or the final head has come (ends in body).
awaitable<result<void>> http_call::send_pieces(std::span<iovec> pieces) {
    while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
    while (!pieces.empty()) {
        if (early_input_ && early_input_->state == early_input::readable) {
            KS_CO_CHECK(read_early_response());
            if (phase_ != phase::sending) co_return success();
        }
        if (turn_bytes_ >= limits::net_bytes_per_turn_max) {
            // A server may take everything at once and refuse it: then there is never a wait that would notice.
            watch_input();
            KS_CO_CHECK(co_await yield());
            continue;
        }
        if (whole_.passed()) {
            co_return fail_with(failure::deadline_passed, errc::timeout,
                                "the deadline passed while sending the request");
        }
        const auto outcome = connection_->try_write(pieces.first(std::min(pieces.size(), vectors_max)));
        if (outcome.status == io_status::ok) {
            shared_.counters.bytes_sent.add(outcome.bytes);
            turn_bytes_ += outcome.bytes;
            std::size_t count = outcome.bytes;
            while (!pieces.empty() && count >= pieces.front().iov_len) {
                count -= pieces.front().iov_len;
                pieces = pieces.subspan(1);
            }
            if (count == 0) continue;
            pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + count;
            pieces.front().iov_len -= count;
            continue;
        }
        if (outcome.status == io_status::failed || outcome.status == io_status::closed) {
            phase_ = phase::awaiting_head;
            co_return success();
        }
        if (outcome.status == io_status::want_write) watch_input();
        KS_CO_CHECK(co_await wait(outcome.status, steady::now() + timing_.progress, failure::send_timeout));
    }
    co_return success();
}

/// Wakes the call, while it waits to send more, when the server sends something.
void http_call::watch_input() {
    if (!early_input_) early_input_ = std::make_shared<early_input>(this);
    if (early_input_->state != early_input::off) return;
    early_input_->state = early_input::armed;
    connection_->socket().async_wait(stream::socket_type::wait_read,
                                     [input = early_input_](const boost::system::error_code& code) {
                                         input->state = early_input::off;
                                         if (code || !input->owner) return;
                                         input->state = early_input::readable;
                                         input->owner->waiter_.wake();
                                     });
}

/// Reads what the server has sent before it had the whole request. Leaves sending at a final head, or when the
/// connection has ended.
result<void> http_call::read_early_response() {
    early_input_->state = early_input::off;
    while (true) {
        KS_TRY(const auto step, take_head());
        if (step == head_step::final) return success();
        if (step == head_step::interim) continue;
        const auto outcome = try_read(input_.space(limits::net_head_bytes_max));
        if (outcome.status == io_status::ok) {
            input_.added(outcome.bytes);
            continue;
        }
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) {
            phase_ = phase::awaiting_head;
            return success();
        }
        watch_input();
        return success();
    }
}

}  // namespace keepstore::net
