// Receiving: the head and the body of the response; connecting and sending are in http_call.cpp.

#include "net/client/http_call.hpp"
#include "net/limits.hpp"

#include <algorithm>
#include <array>

namespace keepstore::net {

// --- the head -----------------------------------------------------------------------------------------------------

/// Takes a complete head out of the input. With a final one the call is in body afterwards.
result<http_call::head_step> http_call::take_head() {
    const auto found = scanner_.scan(input_.text());
    if (found != head_scanner::state::complete) {
        // Fails at once, without waiting for the rest of what cannot be a head.
        const auto text = input_.text();
        static constexpr std::string_view begin = "HTTP/1.";
        if (const auto n = std::min(text.size(), begin.size()); text.substr(0, n) != begin.substr(0, n)) {
            return fail_with(failure::malformed, errc::io_error,
                             "the response is not HTTP/1; does the server expect TLS on this port?");
        }
        if (found == head_scanner::state::malformed) {
            return fail_with(failure::malformed, errc::io_error, "malformed line end");
        }
        if (text.size() >= limits::net_head_bytes_max) {
            return fail_with(failure::head_too_large, errc::io_error, "the response head is larger than allowed");
        }
        return head_step::incomplete;
    }
    head_text_.assign(input_.text().substr(0, scanner_.length()));
    input_.consume(scanner_.length());
    scanner_.reset();
    const auto parsed = parse_response_head(head_text_, head_);
    if (!parsed) {
        const bool large = parsed.error().cause == failure::head_too_large;
        return fail_with(large ? failure::head_too_large : failure::malformed, errc::io_error, parsed.error().text);
    }
    if (head_.status == 101) {
        return fail_with(failure::malformed, errc::io_error, "the server switches protocols, unasked");
    }
    if (head_.status >= 200) {
        phase_ = phase::body;
        return head_step::final;
    }
    if (head_.status == 100) {
        continue_timed_out_ = false;
        shared_.continues.note_continue(to_);
    }
    if (++interim_ > limits::net_interim_responses_max) {
        return fail_with(failure::malformed, errc::io_error, "too many interim responses");
    }
    return head_step::interim;
}

/// Ends in body, with the final head; in awaiting_continue also back in sending, when an interim response has come or
/// limits::net_continue_wait is over.
awaitable<result<void>> http_call::read_head() {
    const auto first_byte_due = steady::now() + timing_.first_byte;
    const auto go_on_at = steady::now() + limits::net_continue_wait;
    while (true) {
        KS_CO_TRY(const auto step, take_head());
        if (step == head_step::final) co_return success();
        if (step == head_step::interim) {
            if (phase_ != phase::awaiting_continue) continue;
            phase_ = phase::sending;
            co_return success();
        }
        const auto outcome = try_read(input_.space(limits::net_head_bytes_max));
        if (outcome.status == io_status::ok) {
            input_.added(outcome.bytes);
            continue;
        }
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) co_return no_response();
        if (phase_ == phase::awaiting_continue && input_.empty()) {
            const auto ended = co_await waiter_.wait(connection_->socket(), stream::wait_after(outcome.status),
                                                     std::min(go_on_at, whole_.at()));
            if (ended == waited::expired && !whole_.passed()) {
                continue_timed_out_ = interim_ == 0;
                phase_ = phase::sending;
                co_return success();
            }
            if (ended == waited::ready) continue;
        }
        // Interim responses do not prolong the wait for the first byte of the final one.
        const bool begun = !input_.empty();
        KS_CO_CHECK(co_await wait(outcome.status, begun ? steady::now() + timing_.progress : first_byte_due,
                                  begun ? failure::read_timeout : failure::first_byte_timeout));
    }
}

void http_call::begin_body(bool head_request) {
    if (head_request || head_.status == 204 || head_.status == 304) {
        finish_body();
    } else if (head_.chunked) {
        framing_ = framing::chunked;
        take_framing();
    } else if (head_.content_length) {
        framing_ = framing::length;
        left_ = *head_.content_length;
        if (left_ == 0) finish_body();
    } else {
        framing_ = framing::until_close;
    }
}

// --- the body -----------------------------------------------------------------------------------------------------

io_outcome http_call::try_read(std::span<std::byte> into) noexcept {
    const auto outcome = connection_->try_read(into);
    if (outcome.bytes == 0) return outcome;
    any_byte_ = true;
    turn_bytes_ += outcome.bytes;
    shared_.counters.bytes_received.add(outcome.bytes);
    return outcome;
}

void http_call::take_framing() noexcept {
    input_.consume(chunks_.take_framing(input_.text()));
    if (chunks_.now() == chunk_decoder::state::done) finish_body();
}

void http_call::finish_body() noexcept {
    phase_ = phase::done;
    // The connection is out of step if the server sent more than announced, or responded to half a request.
    const bool keep = head_.keep_alive && request_complete_ && framing_ != framing::until_close && input_.empty() &&
                      !connection_->has_buffered_input();
    auto idle = shared_.options.idle_limit;
    if (head_.keep_alive_timeout) {
        idle = std::min<steady::duration>(idle, *head_.keep_alive_timeout - limits::net_idle_margin);
    }
    if (keep && idle > steady::duration::zero()) {
        if (early_input_) early_input_->owner = nullptr;
        place_.release(std::move(connection_), steady::now() + idle);
    } else {
        close();
    }
}

/// One attempt. Status ok with no bytes: the body has ended, or its framing is broken.
io_outcome http_call::try_read_body(std::span<std::byte> into) {
    using state = chunk_decoder::state;
    while (framing_ == framing::chunked && chunks_.now() == state::framing) {
        if (input_.empty()) {
            const auto outcome = try_read(input_.space(limits::input_buffer_bytes));
            if (outcome.status != io_status::ok) return outcome;
            input_.added(outcome.bytes);
        }
        take_framing();
        if (phase_ == phase::done || chunks_.now() == state::bad) return {};
    }
    if (framing_ == framing::chunked && chunks_.now() == state::bad) return {};
    if (framing_ != framing::until_close) {
        const auto most = framing_ == framing::length ? left_ : chunks_.data_left();
        if (most < into.size()) into = into.first(static_cast<std::size_t>(most));
    }
    io_outcome outcome{io_status::ok, input_.take(into)};
    if (outcome.bytes == 0) outcome = try_read(into);
    if (outcome.status == io_status::closed && framing_ == framing::until_close) {
        finish_body();
        return {};
    }
    if (outcome.status != io_status::ok) return outcome;
    if (framing_ == framing::length) {
        left_ -= outcome.bytes;
        if (left_ == 0) finish_body();
    } else if (framing_ == framing::chunked) {
        chunks_.took_data(outcome.bytes);
        if (!input_.empty()) take_framing();
    }
    return outcome;
}

awaitable<result<std::size_t>> http_call::read(std::span<std::byte> into, bool full) {
    if (error_) co_return std::unexpected(*error_);
    std::size_t got = 0;
    while (phase_ == phase::body && got < into.size()) {
        if (turn_bytes_ >= limits::net_bytes_per_turn_max) {
            KS_CO_CHECK(co_await yield());
        }
        if (whole_.passed()) {
            co_return fail_with(failure::deadline_passed, errc::timeout,
                                "the deadline passed while reading the response");
        }
        const auto outcome = try_read_body(into.subspan(got));
        if (outcome.bytes > 0) {
            got += outcome.bytes;
            if (!full) break;
            continue;
        }
        if (outcome.status == io_status::ok) {
            if (phase_ == phase::done) break;
            co_return fail_with(failure::malformed, errc::io_error, chunks_.error_text());
        }
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) {
            co_return fail_with(failure::cut_short, errc::unavailable,
                                "the connection ended inside the response body; what came is incomplete");
        }
        KS_CO_CHECK(co_await wait(outcome.status, steady::now() + timing_.progress, failure::read_timeout));
    }
    co_return got;
}

awaitable<result<std::string>> http_call::read_all(std::size_t limit) {
    static constexpr std::size_t step = 16 * KiB;
    std::string out;
    const auto too_large = [this] {
        return fail_with(failure::body_too_large, errc::too_large, "the response body is larger than allowed here");
    };
    while (true) {
        if (framing_ == framing::length && left_ > limit - out.size()) co_return too_large();
        // One byte more than allowed shows that there is more.
        std::size_t room = framing_ == framing::length ? static_cast<std::size_t>(left_) : limit - out.size() + 1;
        if (framing_ != framing::length) room = std::min(room, step);
        const std::size_t before = out.size();
        out.resize(before + room);
        KS_CO_TRY(const auto got, co_await read(std::as_writable_bytes(std::span(out)).subspan(before), true));
        out.resize(before + got);
        if (out.size() > limit) co_return too_large();
        if (phase_ == phase::done) co_return out;
    }
}

/// Reads the rest of the body if it has arrived already and is small, so that the connection can be kept.
void http_call::drain() noexcept {
    if (!head_.keep_alive || !request_complete_ || framing_ == framing::until_close) return;
    if (framing_ == framing::length && left_ > limits::net_drain_bytes_max) return;
    std::array<std::byte, 16 * KiB> unwanted;
    for (std::size_t taken = 0; phase_ == phase::body && taken <= limits::net_drain_bytes_max;) {
        const auto outcome = try_read_body(unwanted);
        if (outcome.bytes == 0) return;
        taken += outcome.bytes;
    }
}

}  // namespace keepstore::net
