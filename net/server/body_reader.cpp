#include "net/server/body_reader.hpp"

#include "net/limits.hpp"

#include <sys/uio.h>

namespace keepstore::net {

void body_reader::begin(const request_head& head, bool expects_continue) {
    chunked_ = head.chunked;
    chunks_ = {};
    left_ = chunked_ ? 0 : head.content_length.value_or(0);
    size_ = chunked_ ? std::nullopt : std::optional(left_);
    finished_ = !chunked_ && left_ == 0;
    // A client that has begun to send the body does not wait for "100 Continue".
    expects_continue_ = expects_continue && !finished_ && input_.empty();
    may_continue_ = expects_continue_;
    broken_ = false;
}

std::optional<std::uint64_t> body_reader::left() const noexcept {
    if (finished_) return 0;
    if (chunked_) return std::nullopt;
    return left_;
}

std::unexpected<error> body_reader::stopped() {
    broken_ = true;
    return io_.why_stopped("request body came too slowly");
}

awaitable<bool> body_reader::send_continue() {
    if (!expects_continue_ || !may_continue_) co_return true;
    expects_continue_ = may_continue_ = false;
    static constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
    iovec line{const_cast<char*>(text.data()), text.size()};
    co_return co_await io_.write_all({&line, 1}, 1);
}

// Ready means bytes of the body, or its end: the caller takes memory for them. Framing of chunks that has arrived is
// skipped, as the end of one comes long before the next when the client pauses.
awaitable<result<void>> body_reader::wait_ready() {
    using state = chunk_decoder::state;
    while (!finished_) {
        if (chunked_ && chunks_.now() == state::framing && !input_.empty()) {
            input_.consume(chunks_.take_framing(input_.text()));
            input_.release_if_empty();
        }
        const bool framing = chunked_ && chunks_.now() == state::framing;
        const bool over = chunked_ && !framing && chunks_.now() != state::data;  // read_some says how.
        if (over || (!framing && !input_.empty())) break;
        const bool sent = co_await send_continue();
        if (!sent) co_return stopped();
        const bool ready = co_await io_.wait(direction::input);
        if (!ready) co_return stopped();
        if (!framing) break;
        const std::size_t count = co_await io_.read_some(input_.space(limits::input_buffer_bytes));
        if (count == 0) co_return stopped();
        input_.added(count);
    }
    co_return success();
}

void body_reader::finish() noexcept {
    finished_ = true;
    io_.caught_up();
}

std::size_t body_reader::take_buffered(std::span<std::byte> into) {
    const std::size_t count = input_.take(into);
    if (count > 0) input_.release_if_empty();
    return count;
}

awaitable<result<std::size_t>> body_reader::read_some(std::span<std::byte> into) {
    if (finished_ || into.empty()) co_return std::size_t{0};
    if (broken_ || io_.stopped()) co_return stopped();
    if (expects_continue_) {
        const bool sent = co_await send_continue();
        if (!sent) co_return stopped();
    }
    if (chunked_) co_return co_await read_chunked(into);
    co_return co_await read_plain(into);
}

awaitable<result<std::size_t>> body_reader::read_plain(std::span<std::byte> into) {
    if (into.size() > left_) into = into.first(static_cast<std::size_t>(left_));
    std::size_t count = take_buffered(into);
    if (count == 0) {
        count = co_await io_.read_some(into);
        if (count == 0) co_return stopped();
    } else if (count < into.size()) {
        // The rest may have arrived already: larger pieces make hashing and writing cheaper.
        count += io_.try_read(into.subspan(count)).bytes;
    }
    left_ -= count;
    if (left_ == 0) finish();
    co_return count;
}

awaitable<result<std::size_t>> body_reader::read_chunked(std::span<std::byte> into) {
    while (true) {
        if (chunks_.now() == chunk_decoder::state::framing) {
            if (input_.empty()) {
                const std::size_t count = co_await io_.read_some(input_.space(limits::input_buffer_bytes));
                if (count == 0) co_return stopped();
                input_.added(count);
            }
            input_.consume(chunks_.take_framing(input_.text()));
            input_.release_if_empty();
        }
        switch (chunks_.now()) {
            case chunk_decoder::state::framing:
                continue;
            case chunk_decoder::state::bad:
                broken_ = true;
                co_return fail(errc::bad_request, std::string(chunks_.error_text()));
            case chunk_decoder::state::done:
                finish();
                co_return std::size_t{0};
            case chunk_decoder::state::data:
                break;
        }
        if (into.size() > chunks_.data_left()) into = into.first(static_cast<std::size_t>(chunks_.data_left()));
        std::size_t count = take_buffered(into);
        if (count == 0) count = co_await io_.read_some(into);
        if (count == 0) co_return stopped();
        chunks_.took_data(count);
        co_return count;
    }
}

}  // namespace keepstore::net
