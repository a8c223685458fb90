#include "net/client/http_call.hpp"

#include "net/client/connector.hpp"

#include <fmt/format.h>
#include <boost/asio/post.hpp>

#include <sys/uio.h>

#include <algorithm>
#include <array>

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
      watch_(pool_->watches()) {}

http_call::~http_call() {
    if (connection_ && answered_ && !finished_) drain();
    if (answer_) answer_->owner = nullptr;
    close();
}

void http_call::close() noexcept {
    if (connection_ && sent_all_) connection_->say_goodbye();
    // Half a request is no use to the server; in order, the kernel would go on to deliver what it holds of it.
    if (connection_ && !sent_all_) connection_->abandon();
    connection_.reset();
    place_.release();
}

// --- errors -------------------------------------------------------------------------------------------------------

std::unexpected<error> http_call::fail_with(error e) {
    error_ = std::move(e);
    close();
    return std::unexpected(*error_);
}

std::unexpected<error> http_call::fail_with(failure f, errc code, std::string_view text) {
    return fail_with(make_failure(shared_, to_, f, code, text));
}

std::unexpected<error> http_call::no_response() {
    stale_ = reused_ && !any_byte_;
    return fail_with(failure::no_response, errc::unavailable,
                     any_byte_
                         ? "the connection ended inside the response head"
                         : "the connection ended before a response; the server may have been restarted or overloaded");
}

// --- waiting ------------------------------------------------------------------------------------------------------

/// Lets others of the loop run after much work without a wait, and looks whether the caller is still interested.
awaitable<result<void>> http_call::give_turn() {
    turn_bytes_ = 0;
    co_await asio::post(co_await asio::this_coro::executor, use_tuple);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() == asio::cancellation_type::none) co_return result<void>{};
    co_return fail_with(failure::cancelled, errc::cancelled, "cancelled");
}

awaitable<result<void>> http_call::wait(io_status status, steady::time_point due, failure late) {
    turn_bytes_ = 0;
    const auto what =
        status == io_status::want_write ? transport::socket_type::wait_write : transport::socket_type::wait_read;
    const auto outcome = co_await watch_.wait(connection_->socket(), what, std::min(due, whole_.at()));
    if (outcome == waited::ready || outcome == waited::woken) co_return result<void>{};
    if (outcome == waited::cancelled) co_return fail_with(failure::cancelled, errc::cancelled, "cancelled");
    const bool answering = late == failure::read_timeout;
    if (whole_.passed()) {
        co_return fail_with(failure::deadline_passed, errc::timeout,
                            answering                             ? "the deadline passed while reading the response"
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
                    answering ? "of the response came" : "of the request could be sent", seconds_of(timing_.progress)));
}

// --- sending ------------------------------------------------------------------------------------------------------

awaitable<result<void>> http_call::connect(bool fresh) {
    auto got = co_await pool_->acquire(to_, watch_, whole_.at(), fresh);
    if (!got) co_return fail_with(std::move(got.error()));
    place_ = std::move(got->where);
    if (got->reused) {
        connection_ = std::move(got->reused);
        reused_ = true;
        shared_.counters.reused.add();
        co_return result<void>{};
    }
    auto opened =
        co_await open_connection(shared_, pool_->lookups(), to_, watch_, steady::now() + timing_.connect, whole_.at());
    if (!opened) co_return fail_with(std::move(opened.error()));
    connection_ = std::move(*opened);
    co_return result<void>{};
}

void http_call::watch_for_answer() {
    if (!answer_) answer_ = std::make_shared<answer_flag>(this);
    if (answer_->armed) return;
    answer_->armed = true;
    connection_->socket().async_wait(transport::socket_type::wait_read,
                                     [flag = answer_](const boost::system::error_code& code) {
                                         flag->armed = false;
                                         if (code || !flag->owner) return;
                                         flag->readable = true;
                                         flag->owner->watch_.wake();
                                     });
}

/// \returns whether the final head is there.
result<bool> http_call::look_for_answer() {
    answer_->readable = false;
    for (;;) {
        const auto step = take_head();
        if (!step) return std::unexpected(step.error());
        if (*step == head_step::final) return true;
        if (*step == head_step::interim) continue;
        const auto space = input_.space(limits::net_head_bytes_max);
        const auto outcome = try_read(space);
        if (outcome.status == io_status::ok) {
            input_.added(outcome.bytes);
            continue;
        }
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) {
            send_failed_ = true;
            return true;
        }
        watch_for_answer();
        return false;
    }
}

/// \returns false if there is no use in sending more: the server has answered, or takes nothing any more.
awaitable<result<bool>> http_call::send_all(std::span<iovec> pieces) {
    while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
    while (!pieces.empty()) {
        if (answer_ && answer_->readable) {
            const auto stop = look_for_answer();
            if (!stop) co_return std::unexpected(stop.error());
            if (*stop) co_return false;
        }
        if (turn_bytes_ >= limits::net_bytes_per_turn_max) {
            // A server that takes everything at once, and has refused it, never makes us wait.
            watch_for_answer();
            const auto go_on = co_await give_turn();
            if (!go_on) co_return std::unexpected(go_on.error());
            continue;
        }
        if (whole_.passed()) {
            co_return fail_with(failure::deadline_passed, errc::timeout,
                                "the deadline passed while sending the request");
        }
        const auto outcome = connection_->try_write(pieces.first(std::min(pieces.size(), vectors_max)));
        if (outcome.status == io_status::ok) {
            shared_.counters.sent.add(outcome.bytes);
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
            send_failed_ = true;
            co_return false;
        }
        if (outcome.status == io_status::want_write) watch_for_answer();
        const auto ready = co_await wait(outcome.status, steady::now() + timing_.progress, failure::send_timeout);
        if (!ready) co_return std::unexpected(ready.error());
    }
    co_return true;
}

/// Pieces of a source, after the first was sent with the head.
awaitable<result<void>> http_call::send_body(body_feed& feed) {
    for (;;) {
        // A slow source gives the server much time to change its mind.
        watch_for_answer();
        auto piece = co_await feed.next();
        if (!piece) {
            if (piece.error().cause == failure::body_source) shared_.counters.note(failure::body_source);
            co_return fail_with(std::move(piece.error()));
        }
        if (piece->bytes.empty()) {
            sent_all_ = true;
            co_return result<void>{};
        }
        iovec one = vector_of(piece->bytes);
        const auto more = co_await send_all({&one, 1});
        if (!more) co_return std::unexpected(more.error());
        if (!*more) co_return result<void>{};
    }
}

awaitable<result<void>> http_call::run(const request& r, std::string head, body_feed& feed) {
    head_request_ = r.method == "HEAD";
    const bool ask_first = r.expect_continue && feed.size() > 0;
    bool waited_in_vain = false;
    std::vector<iovec> pieces;
    pieces.reserve(2 + feed.pieces().size());
    pieces.push_back(vector_of(std::as_bytes(std::span(head))));
    if (ask_first) {
        const auto sent = co_await send_all(pieces);
        if (!sent) co_return std::unexpected(sent.error());
        if (*sent) {
            const auto word = co_await read_head(steady::now() + limits::net_continue_wait);
            if (!word) co_return std::unexpected(word.error());
            waited_in_vain = *word == head_end::go_on && interim_ == 0;
        }
        pieces.clear();
    }
    if (!answered_ && !send_failed_) {
        const_slice first;
        if (feed.from_source()) {
            auto piece = co_await feed.next();
            if (!piece) {
                if (piece.error().cause == failure::body_source) shared_.counters.note(failure::body_source);
                co_return fail_with(std::move(piece.error()));
            }
            first = std::move(*piece);
            pieces.push_back(vector_of(first.bytes));
        } else {
            for (const auto& piece : feed.pieces()) {
                if (piece.size() > 0) pieces.push_back(vector_of(piece.bytes));
            }
        }
        const auto sent = co_await send_all(pieces);
        if (!sent) co_return std::unexpected(sent.error());
        if (*sent && feed.from_source() && first.size() < feed.size()) {
            first = {};
            const auto body = co_await send_body(feed);
            if (!body) co_return std::unexpected(body.error());
        } else {
            sent_all_ = *sent;
        }
    }
    if (!answered_) {
        const auto end = co_await read_head(std::nullopt);
        if (!end) co_return std::unexpected(end.error());
    }
    // A server that is only slow says the word late.
    if (waited_in_vain && !continued_ && head_.status < 300) shared_.continues.note_silence(to_, steady::now());
    shared_.counters.responses.add();
    co_return begin_body();
}

// --- the head -----------------------------------------------------------------------------------------------------

result<http_call::head_step> http_call::take_head() {
    if (answered_) return head_step::final;
    if (!scanner_.scan(input_.text())) {
        // What cannot become a head is not waited for.
        const auto text = input_.text();
        static constexpr std::string_view begin = "HTTP/1.";
        if (const auto n = std::min(text.size(), begin.size()); text.substr(0, n) != begin.substr(0, n)) {
            return fail_with(failure::malformed, errc::io_error,
                             "the answer is not HTTP/1; does the server expect TLS on this port?");
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
        answered_ = true;
        return head_step::final;
    }
    if (head_.status == 100) {
        continued_ = true;
        shared_.continues.note_word(to_);
    }
    if (++interim_ > limits::net_interim_responses_max) {
        return fail_with(failure::malformed, errc::io_error, "too many interim responses");
    }
    return head_step::interim;
}

/// With `go_on_at` it also ends, with go_on, at that time or when an interim response came.
awaitable<result<http_call::head_end>> http_call::read_head(std::optional<steady::time_point> go_on_at) {
    const auto first_byte_due = steady::now() + timing_.first_byte;
    for (;;) {
        const auto step = take_head();
        if (!step) co_return std::unexpected(step.error());
        if (*step == head_step::final) co_return head_end::answered;
        if (*step == head_step::interim) {
            if (go_on_at) co_return head_end::go_on;
            continue;
        }
        const auto outcome = try_read(input_.space(limits::net_head_bytes_max));
        if (outcome.status == io_status::ok) {
            input_.added(outcome.bytes);
            continue;
        }
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) co_return no_response();
        if (go_on_at && input_.empty()) {
            const auto what = outcome.status == io_status::want_write ? transport::socket_type::wait_write
                                                                      : transport::socket_type::wait_read;
            const auto ended = co_await watch_.wait(connection_->socket(), what, std::min(*go_on_at, whole_.at()));
            if (ended == waited::expired && !whole_.passed()) co_return head_end::go_on;
            if (ended == waited::ready) continue;
        }
        // Interim responses do not prolong the wait for the first byte of the real one.
        const bool begun = !input_.empty();
        const auto ready = co_await wait(outcome.status, begun ? steady::now() + timing_.progress : first_byte_due,
                                         begun ? failure::read_timeout : failure::first_byte_timeout);
        if (!ready) co_return std::unexpected(ready.error());
    }
}

result<void> http_call::begin_body() {
    if (head_request_ || head_.status == 204 || head_.status == 304) {
        finish_body();
        return {};
    }
    if (head_.chunked) {
        framing_ = framing::chunked;
        take_framing();
    } else if (head_.content_length) {
        framing_ = framing::length;
        left_ = *head_.content_length;
        if (left_ == 0) finish_body();
    } else {
        framing_ = framing::until_close;
    }
    return {};
}

// --- the body -----------------------------------------------------------------------------------------------------

io_outcome http_call::try_read(std::span<std::byte> into) noexcept {
    const auto outcome = connection_->try_read(into);
    if (outcome.bytes == 0) return outcome;
    if (!any_byte_) {
        any_byte_ = true;
        first_byte_at_ = steady::now();
    }
    turn_bytes_ += outcome.bytes;
    shared_.counters.received.add(outcome.bytes);
    return outcome;
}

void http_call::take_framing() noexcept {
    input_.consume(chunks_.take_framing(input_.text()));
    if (chunks_.now() == chunk_decoder::state::done) finish_body();
}

void http_call::finish_body() noexcept {
    finished_ = true;
    if (!connection_) return;
    // A server that sends more than it announced, or before it was asked to the end, is not in step with us.
    const bool keep = head_.keep_alive && sent_all_ && !send_failed_ && framing_ != framing::until_close &&
                      input_.empty() && !connection_->has_buffered_input();
    auto idle = shared_.options.idle_limit;
    if (head_.keep_alive_timeout) {
        idle = std::min<steady::duration>(idle, *head_.keep_alive_timeout - limits::net_idle_margin);
    }
    if (keep && idle > steady::duration::zero()) {
        if (answer_) answer_->owner = nullptr;
        place_.release(std::move(connection_), steady::now() + idle);
    } else {
        close();
    }
}

/// One attempt. With status ok and no bytes the body has ended, or framing is broken.
io_outcome http_call::try_read_body(std::span<std::byte> into) {
    using state = chunk_decoder::state;
    while (framing_ == framing::chunked && chunks_.now() == state::framing) {
        if (input_.empty()) {
            const auto outcome = try_read(input_.space(limits::net_input_bytes));
            if (outcome.status != io_status::ok) return outcome;
            input_.added(outcome.bytes);
        }
        take_framing();
        if (finished_ || chunks_.now() == state::bad) return {};
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
    while (!finished_ && got < into.size()) {
        if (turn_bytes_ >= limits::net_bytes_per_turn_max) {
            const auto go_on = co_await give_turn();
            if (!go_on) co_return std::unexpected(go_on.error());
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
            if (finished_) break;
            co_return fail_with(failure::malformed, errc::io_error, chunks_.error_text());
        }
        if (outcome.status == io_status::closed || outcome.status == io_status::failed) {
            co_return fail_with(failure::cut_short, errc::unavailable,
                                "the connection ended inside the response body; what came is incomplete");
        }
        const auto ready = co_await wait(outcome.status, steady::now() + timing_.progress, failure::read_timeout);
        if (!ready) co_return std::unexpected(ready.error());
    }
    co_return got;
}

awaitable<result<std::string>> http_call::read_all(std::size_t limit) {
    static constexpr std::size_t step = 16 * KiB;
    std::string out;
    for (;;) {
        if (framing_ == framing::length && left_ > limit - out.size()) {
            co_return fail_with(failure::body_too_large, errc::too_large,
                                "the response body is larger than allowed here");
        }
        // One byte more than allowed shows that there is more.
        std::size_t room = framing_ == framing::length ? static_cast<std::size_t>(left_) : limit - out.size() + 1;
        if (framing_ != framing::length) room = std::min(room, step);
        const std::size_t before = out.size();
        out.resize(before + room);
        const auto got = co_await read(std::as_writable_bytes(std::span(out)).subspan(before), true);
        if (!got) co_return std::unexpected(got.error());
        out.resize(before + *got);
        if (out.size() > limit) {
            co_return fail_with(failure::body_too_large, errc::too_large,
                                "the response body is larger than allowed here");
        }
        if (finished_) co_return out;
    }
}

void http_call::drain() noexcept {
    if (error_ || !connection_ || !head_.keep_alive || !sent_all_ || framing_ == framing::until_close) return;
    if (framing_ == framing::length && left_ > limits::net_drain_bytes_max) return;
    std::array<std::byte, 16 * KiB> unwanted;
    for (std::size_t taken = 0; !finished_ && taken <= limits::net_drain_bytes_max;) {
        const auto outcome = try_read_body(unwanted);
        if (outcome.bytes == 0) return;
        taken += outcome.bytes;
    }
}

}  // namespace keepstore::net
