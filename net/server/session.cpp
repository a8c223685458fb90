#include "net/server/session.hpp"

#include "base/log.hpp"
#include "net/limits.hpp"

#include <boost/asio/this_coro.hpp>

#include <array>
#include <exception>
#include <utility>

namespace keepstore::net {
namespace {

awaitable<result<void>> second_response() {
    co_return fail(errc::io_error, "a response was sent already");
}

/// Memory of a request's strings.
std::size_t memory_of(const request_head& head) noexcept {
    std::size_t bytes = head.method.capacity() + head.target.capacity() + head.path.capacity() + head.query.capacity() +
                        head.headers.capacity() * sizeof(header);
    for (const header& h : head.headers) bytes += h.name.capacity() + h.value.capacity();
    return bytes;
}

}  // namespace

session::session(session_loop& loop, std::unique_ptr<stream> peer, std::string remote_address, bool tls)
    : loop_(loop),
      io_(std::move(peer), *this),
      input_(loop.buffers()),
      body_(io_, input_),
      response_(io_),
      remote_address_(std::move(remote_address)),
      tls_(tls),
      phase_since_(clock::now()) {}

session::~session() = default;

void session::enter(phase next) {
    const bool was_idle = phase_ == phase::idle;
    phase_ = next;
    phase_since_ = clock::now();
    if (next == phase::idle) {
        if (!was_idle) loop_.session_idle(*this);
    } else if (was_idle) {
        loop_.session_active(*this);
    }
}

awaitable<void> session::run() {
    // The signal cancels the work of a request, whatever it awaits, without an exception.
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    co_await asio::this_coro::throw_if_cancelled(false);
    try {
        co_await serve();
    } catch (const std::exception& e) {
        log::error("request handler failed", {{"error", e.what()}, {"remoteAddr", remote_address()}});
        response_.abort();
    }
    finish_connection();
}

awaitable<void> session::serve() {
    if (tls_) {
        enter(phase::handshake);
        const bool agreed = co_await shake_hands();
        if (!agreed) co_return;
    }
    while (true) {
        const auto arrived = co_await read_head();
        if (arrived == head_result::closed) co_return;
        if (arrived == head_result::refused) break;
        co_await handle_request();
        if (!response_.keeps_alive() || io_.killed()) break;
        if (!body_.finished()) {
            const bool clean = co_await discard_body();
            if (!clean) break;
        }
    }
    co_await linger();
}

awaitable<bool> session::shake_hands() {
    while (true) {
        const auto status = io_.peer().handshake();
        switch (status) {
            case io_status::ok:
                co_return true;
            case io_status::want_read:
            case io_status::want_write: {
                const auto needs = status == io_status::want_read ? direction::input : direction::output;
                const bool go_on = co_await io_.wait(needs);
                if (!go_on) co_return false;
                break;
            }
            case io_status::closed:
                // A refusal in plain text was sent: let the client read it.
                co_await linger();
                co_return false;
            case io_status::failed:
                co_return false;
        }
    }
}

awaitable<session::head_result> session::read_head() {
    scanner_.reset();
    if (input_.empty()) {
        input_.release_if_empty();
        if (const std::size_t bytes = memory_of(request_.head); bytes > limits::idle_head_bytes_max) {
            static_cast<void>(std::exchange(request_.head, {}));  // An assignment leaves strings their memory.
            loop_.freed_head(bytes);
        }
        response_.release_memory();
        enter(phase::idle);
        const bool readable = co_await io_.wait(direction::input);
        if (!readable) co_return head_result::closed;
    } else {
        io_.charge_turn(limits::input_buffer_bytes);  // A pipelining client must not keep the loop to itself.
        if (io_.should_yield()) co_await io_.yield();
    }
    enter(phase::head);
    while (true) {
        if (!input_.empty()) {
            const auto state = scanner_.scan(input_.text());
            if (state == head_scanner::state::malformed) {
                co_await refuse(bad_request("malformed line end"));
                co_return head_result::refused;
            }
            if (state == head_scanner::state::complete) break;
            if (input_.size() >= limits::request_head_bytes_max) {
                co_await refuse(head_too_large());
                co_return head_result::refused;
            }
        }
        const auto space = input_.space(limits::request_head_bytes_max);
        const auto outcome = io_.try_read(space);
        if (outcome.status == io_status::ok) {
            input_.added(outcome.bytes);
            continue;
        }
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) co_return head_result::closed;
        if (input_.empty()) input_.release_if_empty();
        const bool go_on = co_await io_.wait(direction::input);
        if (!go_on) co_return head_result::closed;
    }
    const auto bad = parse_head(input_.text().substr(0, scanner_.length()), request_);
    if (bad) {
        co_await refuse(*bad);
        co_return head_result::refused;
    }
    input_.consume(scanner_.length());
    input_.release_if_empty();
    co_return head_result::request;
}

awaitable<void> session::refuse(refusal reason) {
    loop_.count.refused.fetch_add(1, std::memory_order_relaxed);
    enter(phase::lingering);
    response_.begin_request({});
    if (!reason.body.empty()) response_.add_header("Content-Type", "text/plain; charset=utf-8");
    response_.start(reason.status, reason.body.size(), false, loop_.date_line());
    const auto sent = co_await response_.send(reason.body);
    if (!sent) io_.kill();
}

awaitable<void> session::handle_request() {
    enter(phase::handling);
    if (emitted_) {
        emitted_ = false;
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    }
    io_.new_request();
    io_.reset_counted();
    throughput_.reset(0);
    waited_ = io_.waited(phase_since_);
    deadline_ = deadline::never();
    if (io_.output_full()) {
        // The client may not have received the last response yet. Until then its next request would only hold memory,
        // and a place in the limiter.
        const bool room = co_await io_.wait_writable();
        if (!room) {
            response_.abort();
            co_return;
        }
        enter(phase::handling);
        io_.new_request();
    }
    started_at_ = phase_since_;
    body_.begin(request_.head, request_.expects_continue);
    response_.begin_request({request_.head.method == "HEAD", request_.head.version});
    if (request_.options_asterisk) {
        const auto sent = co_await send(200, "");
        if (!sent) response_.abort();
        co_return;
    }
    co_await loop_.application().handle(*this);
    if (!response_.complete()) response_.abort();
}

bool session::may_keep_alive() const {
    if (!request_.keep_alive || loop_.draining() || io_.reason() != cancel_reason::none) return false;
    if (body_.finished()) return true;
    // A client that waits for "100 Continue" may or may not send the body now: body and next request look the same.
    if (body_.awaits_continue() || body_.broken()) return false;
    const auto left = body_.left();
    return left && *left <= limits::discard_body_bytes_max;
}

void session::start_response(unsigned status, std::optional<std::uint64_t> length) {
    const auto reason = io_.reason();
    if (reason != cancel_reason::none && reason != cancel_reason::client_gone) io_.allow_final_response();
    response_started_at_ = clock::now();
    response_.start(status, length, may_keep_alive(), loop_.date_line());
    body_.response_started();
}

awaitable<result<void>> session::send(unsigned status, std::string_view body) {
    if (response_.started()) return second_response();
    start_response(status, body.size());
    return response_.send(body);
}

awaitable<result<void>> session::start(unsigned status, std::optional<std::uint64_t> length) {
    if (response_.started()) co_return co_await second_response();
    start_response(status, length);
    co_return success();
}

awaitable<result<std::string>> session::read_body(std::size_t limit) {
    if (body_.size().value_or(0) > limit) co_return fail(errc::too_large);
    std::string text;
    while (true) {
        const std::size_t have = text.size();
        const std::size_t step = std::min(limit - have + 1, limits::input_buffer_bytes + have);
        text.resize(have + step);
        KS_CO_TRY(const auto got, co_await body_.read_some(std::as_writable_bytes(std::span(text)).subspan(have)));
        text.resize(have + got);
        if (got == 0) co_return text;
        if (text.size() > limit) co_return fail(errc::too_large);
    }
}

awaitable<bool> session::discard_body() {
    enter(phase::discarding);
    std::vector<std::byte> scratch(limits::input_buffer_bytes);
    while (!body_.finished()) {
        const auto got = co_await body_.read_some(scratch);
        if (!got) co_return false;
    }
    co_return true;
}

/// Closing with unread input makes the kernel send a reset, which can destroy the response on its way to the client. So
/// our direction is ended, and further input is dropped, for a limited time.
awaitable<void> session::linger() {
    if (io_.killed() || io_.reason() == cancel_reason::client_gone || response_.needs_reset()) co_return;
    if (body_.finished() && input_.empty() && !io_.peer().has_unread_input() && phase_ != phase::lingering &&
        phase_ != phase::handshake) {
        co_return;
    }
    enter(phase::lingering);
    io_.new_request();
    io_.peer().shutdown_send();
    std::vector<std::byte> scratch(limits::input_buffer_bytes);
    for (std::size_t dropped = 0; dropped < limits::linger_bytes_max;) {
        const std::size_t count = co_await io_.read_some(scratch);
        if (count == 0) co_return;
        dropped += count;
    }
}

void session::finish_connection() noexcept {
    // A slow reader's unsent megabytes must not stay in the kernel for minutes.
    const bool reset = response_.needs_reset() || io_.reason() == cancel_reason::too_slow;
    if (!reset && phase_ != phase::lingering) io_.peer().shutdown_send();
    io_.peer().close(reset);
}

void session::stall_ended() noexcept {
    if (phase_ == phase::handling) loop_.application().stalled(*this, false);
}

void session::kill() {
    io_.kill();
    emit_signal();
}

void session::cancel_request(cancel_reason reason) {
    if (phase_ != phase::handling || io_.reason() != cancel_reason::none) return;
    if (reason == cancel_reason::too_slow) loop_.count.too_slow.fetch_add(1, std::memory_order_relaxed);
    io_.interrupt(reason);
    cancelled_at_ = last_emitted_at_ = clock::now();
    emit_signal();
}

void session::check(clock::time_point now) {
    const auto& limit = loop_.options();
    if (io_.killed()) return kill();
    switch (phase_) {
        case phase::idle:
            return;  // The loop checks the longest idle ones itself.
        case phase::handshake:
        case phase::head:
            if (now - phase_since_ < limit.header_timeout) return;
            loop_.count.header_timeouts.fetch_add(1, std::memory_order_relaxed);
            return kill();
        case phase::discarding:
            if (now - phase_since_ >= limits::discard_body_timeout) kill();
            return;
        case phase::lingering:
            if (now - phase_since_ >= limit.linger_timeout) kill();
            return;
        case phase::handling:
            break;
    }
    // First: it only ends a wait, and a final response must not wait longer than others.
    io_.end_brief_wait(now);
    if (io_.reason() != cancel_reason::none) {
        if (io_.final_response_allowed()) {
            if (now - cancelled_at_ >= limit.final_response_timeout) kill();
        } else if (now - last_emitted_at_ >= std::chrono::seconds(1)) {
            // The handler was between two waits, or ignored the first signal.
            last_emitted_at_ = now;
            emit_signal();
        }
        return;
    }
    if (now >= deadline_.at()) return cancel_request(cancel_reason::request_deadline);
    if (io_.waiting()) {
        if (!io_.stalled() && io_.client_wait(now) >= limit.stall_threshold && !io_.is_ready()) {
            io_.mark_stalled(now);
            loop_.application().stalled(*this, true);
        }
        // Only while it waits: a slow body that is complete must not be cancelled in the end.
        const auto more = io_.waited(now) - std::exchange(waited_, io_.waited(now));
        if (!throughput_.add(limit.rate, more, [&] { return io_.progress(); })) {
            cancel_request(cancel_reason::too_slow);
        }
    } else if (now - started_at_ >= limit.tick && io_.peer().closed_by_peer()) {
        cancel_request(cancel_reason::client_gone);
    }
}

}  // namespace keepstore::net
