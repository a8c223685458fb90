#include "net/server/response_writer.hpp"

#include "net/server/reason_phrase.hpp"

#include <sys/uio.h>

#include <array>
#include <charconv>
#include <string>
#include <utility>

namespace keepstore::net {
namespace {

iovec vector_of(std::string_view text) {
    return {const_cast<char*>(text.data()), text.size()};
}

bool has_body(unsigned status) {
    return status >= 200 && status != 204 && status != 304;
}

}  // namespace

void response_writer::begin_request(request_facts request) {
    request_ = request;
    extra_.clear();
    head_.clear();
    status_ = 0;
    framing_ = framing::none;
    left_ = 0;
    keep_alive_ = complete_ = broken_ = false;
}

void response_writer::add_header(std::string_view name, std::string_view value) {
    extra_.append(name).append(": ");
    for (const char c : value) extra_.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
    extra_.append("\r\n");
}

void response_writer::start(unsigned status, std::optional<std::uint64_t> length, bool keep_alive,
                            std::string_view date_line) {
    status_ = status;
    keep_alive_ = keep_alive;
    if (!has_body(status)) {
        framing_ = framing::none;
    } else if (length) {
        framing_ = framing::length;
        left_ = *length;
    } else if (request_.version >= 11) {
        framing_ = framing::chunked;
    } else {
        framing_ = framing::until_close;
        keep_alive_ = false;
    }
    head_.clear();
    const auto number = std::to_string(status);
    const auto phrase = reason_phrase(status);
    head_.append("HTTP/1.1 ").append(number).append(" ");
    if (phrase.empty()) {
        head_.append("status code ").append(number);  // As the Go daemon writes 499 (docs/interface.md 2.8).
    } else {
        head_.append(phrase);
    }
    head_.append("\r\n").append(extra_);
    if (framing_ == framing::length) head_.append("Content-Length: ").append(std::to_string(*length)).append("\r\n");
    if (framing_ == framing::chunked) head_.append("Transfer-Encoding: chunked\r\n");
    head_.append(date_line);
    if (!keep_alive_) {
        head_.append("Connection: close\r\n");
    } else if (request_.version < 11) {
        head_.append("Connection: keep-alive\r\n");
    }
    head_.append("\r\n");
}

std::unexpected<error> response_writer::failed() {
    abort();
    return io_.why_stopped("client reads too slowly");
}

awaitable<result<void>> response_writer::write_vectors(std::span<iovec> vectors, std::size_t counted) {
    // The common case, everything fits, needs no further coroutine.
    const auto status = io_.stopped() ? io_status::failed : io_.try_write_all(vectors, counted);
    bool sent = status != io_status::failed && status != io_status::closed;
    if (sent && !io_.all_sent(vectors)) sent = co_await io_.write_all(vectors, counted);
    if (!sent) co_return failed();
    head_.clear();
    co_return success();
}

awaitable<result<void>> response_writer::write(std::span<const std::byte> bytes) {
    if (broken_ || complete_ || !started()) co_return fail(errc::cancelled);
    const bool dropped = request_.head_only || framing_ == framing::none;
    if (framing_ == framing::length) {
        if (bytes.size() > left_) {
            abort();
            co_return fail(errc::io_error, "response body is longer than announced");
        }
        left_ -= bytes.size();
    }
    if (bytes.empty() || dropped) co_return success();
    std::array<iovec, 4> vectors;
    std::size_t count = 0;
    std::array<char, 20> size_line;
    if (!head_.empty()) vectors[count++] = vector_of(head_);
    if (framing_ == framing::chunked) {
        auto* end = std::to_chars(size_line.begin(), size_line.end() - 2, bytes.size(), 16).ptr;
        *end++ = '\r';
        *end++ = '\n';
        vectors[count++] = vector_of({size_line.data(), static_cast<std::size_t>(end - size_line.data())});
    }
    const std::size_t body = count;
    vectors[count++] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    if (framing_ == framing::chunked) vectors[count++] = vector_of("\r\n");
    co_return co_await write_vectors(std::span(vectors).first(count), body);
}

awaitable<result<std::size_t>> response_writer::write_some(std::span<const std::byte> bytes,
                                                           byte_sink::when_full mode) {
    if (framing_ != framing::length || request_.head_only || bytes.empty() || bytes.size() > left_) {
        // Not sent at all, not divisible, or refused.
        KS_CO_CHECK(co_await write(bytes));
        co_return bytes.size();
    }
    if (broken_ || complete_) co_return fail(errc::cancelled);
    const std::size_t before = head_.empty() ? 0 : 1;
    std::array<iovec, 2> vectors{vector_of(head_), iovec{const_cast<std::byte*>(bytes.data()), bytes.size()}};
    std::span<iovec> rest = std::span(vectors).subspan(1 - before);
    std::size_t counted = before;
    const auto status = io_.stopped() ? io_status::failed : io_.try_write_all(rest, counted);
    bool sent = status != io_status::failed && status != io_status::closed;
    if (sent && rest.size() == 2) {
        // The socket is still full of an earlier response.
        sent = co_await io_.write_all(rest.first(1), 1);
        rest = rest.subspan(1);
        counted = 0;
    }
    if (sent && !rest.empty()) {
        sent = co_await io_.write_some(rest, counted, mode == byte_sink::when_full::wait_briefly);
    }
    if (!sent) co_return failed();
    head_.clear();
    const std::size_t taken = bytes.size() - (rest.empty() ? 0 : rest.front().iov_len);
    left_ -= taken;
    co_return taken;
}

awaitable<result<void>> response_writer::wait_writable() {
    // Nothing of this response was sent yet, and the last one did fit: no system call is needed.
    if (!io_.stopped() && !head_sent() && !io_.output_full()) co_return success();
    const bool ready = co_await io_.wait_writable();
    if (!ready) co_return failed();
    co_return success();
}

awaitable<result<void>> response_writer::finish() {
    if (broken_ || !started()) co_return fail(errc::cancelled);
    if (complete_) co_return success();
    if (framing_ == framing::length && left_ > 0 && !request_.head_only) {
        abort();
        co_return fail(errc::io_error, "response body is shorter than announced");
    }
    std::array<iovec, 2> vectors;
    std::size_t count = 0;
    if (!head_.empty()) vectors[count++] = vector_of(head_);
    if (framing_ == framing::chunked && !request_.head_only) vectors[count++] = vector_of("0\r\n\r\n");
    // Pending output of TLS counts as not sent: the response is complete when the kernel has all of it.
    if (count > 0 || !io_.all_sent({})) {
        KS_CO_CHECK(co_await write_vectors(std::span(vectors).first(count), count));
    }
    complete_ = true;
    co_return success();
}

awaitable<result<void>> response_writer::send(std::string_view body) {
    std::array<iovec, 2> vectors{vector_of(head_), vector_of(body)};
    const bool with_body = !body.empty() && !request_.head_only && framing_ == framing::length;
    auto sent = co_await write_vectors(std::span(vectors).first(with_body ? 2 : 1), 1);
    complete_ = sent.has_value();
    co_return sent;
}

void response_writer::release_memory() {
    if (extra_.capacity() + head_.capacity() <= limits::idle_head_bytes_max) return;
    // An assignment would leave them their memory.
    static_cast<void>(std::exchange(extra_, {}));
    static_cast<void>(std::exchange(head_, {}));
}

void response_writer::abort() noexcept {
    if (!complete_) broken_ = true;
    keep_alive_ = false;
}

}  // namespace keepstore::net
