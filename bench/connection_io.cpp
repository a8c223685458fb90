// The sending and receiving half of a connection.
#include "bench/connection.hpp"
#include "bench/worker.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace keepstore::bench {
namespace {

// The reply's head, and for small blocks all of it, in one call; little enough to copy that it does
// not matter.
constexpr std::size_t head_step_bytes = 8 * 1024;
constexpr std::size_t discard_step_bytes = 4 * 1024 * 1024;
// One connection's turn: others wait on the same thread.
constexpr std::size_t turn_bytes_max = 8 * 1024 * 1024;
constexpr std::size_t body_text_bytes_max = 200;

}  // namespace

void connection::drive(steady::time_point now) {
    auto moved_before = body_received_ + body_sent_;
    std::uint64_t turn = 0;
    // Refusals of paced senders are looked for at each tick; other senders hear of them from epoll.
    if (paced() && state_ == state::sending && body_sent_ > 0) read_head(now);
    while (true) {
        step next = step::wait;
        switch (state_) {
            case state::idle:
            case state::pausing:
                return;
            case state::sending:
                next = send_some();
                break;
            case state::reading_head:
                next = read_head(now);
                break;
            case state::reading_body:
                next = read_body(now);
                break;
        }
        if (next == step::wait) return;
        const auto moved = body_received_ + body_sent_;
        turn += moved > moved_before ? moved - moved_before : 0;
        moved_before = moved;
        if (turn > turn_bytes_max) {
            if (state_ == state::sending)
                watch(EPOLLIN | EPOLLOUT);
            else
                watch(EPOLLIN);
            return;
        }
        now = steady::now();
    }
}

connection::step connection::send_some() {
    const auto& content = worker_.control().content;
    std::array<iovec, 3> parts{};
    std::size_t count = 0;
    const auto head_left = request_.size() - request_sent_;
    const bool pace_head = purpose_ == role::slow_header;
    const auto head_now = pace_head ? allowed(head_left) : head_left;
    if (head_now > 0) parts[count++] = {request_.data() + request_sent_, head_now};
    auto body_now = put_ ? allowed(static_cast<std::size_t>(content_.size - body_sent_)) : 0;
    for (auto at = body_sent_; body_now > 0;) {
        const auto piece = content.bytes(content_, at);
        const auto size = std::min(piece.size(), body_now);
        // sendmsg does not write through the pointer; iovec has no const form.
        parts[count++] = {const_cast<std::byte*>(piece.data()), size};
        at += size;
        body_now -= size;
    }
    if (count == 0 && (head_left > 0 || (put_ && body_sent_ < content_.size))) return step::wait;

    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const auto sent = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno == EINTR) return step::again;
        if (errno == EAGAIN || errno == ENOTCONN) {
            watch(EPOLLIN | EPOLLOUT);
            return step::wait;
        }
        must_close_ = true;
        if (errno == ECONNREFUSED) return connection_failed(steady::now());
        // The server may have refused and closed: its reply, if any, is the better answer.
        state_ = state::reading_head;
        return step::again;
    }
    const auto bytes = static_cast<std::size_t>(sent);
    const auto of_head = std::min(bytes, head_left);
    request_sent_ += of_head;
    if (pace_head) spend(of_head);
    body_sent_ += bytes - of_head;
    spend(bytes - of_head);
    if (put_) count_body(is_client() ? role::writer : purpose_, bytes - of_head);
    if (request_sent_ < request_.size() || (put_ && body_sent_ < content_.size)) return step::again;
    state_ = state::reading_head;
    watch(EPOLLIN);
    return step::wait;
}

connection::step connection::connection_failed(steady::time_point now) {
    must_close_ = true;
    std::string why = errno == ECONNREFUSED ? "connection refused" : "connection reset";
    if (!fresh_ && head_text_.empty()) why += " (kept alive)";
    finish(why, now);
    return step::again;
}

connection::step connection::read_head(steady::time_point now) {
    auto& scratch = worker_.scratch();
    const bool pace = paced() && !put_;
    const auto most = pace ? allowed(head_step_bytes) : head_step_bytes;
    if (most == 0) return step::wait;
    const auto got = ::recv(fd_, scratch.data(), most, MSG_DONTWAIT);
    if (got < 0) {
        if (errno == EINTR) return step::again;
        if (errno == EAGAIN || errno == ENOTCONN) {
            if (state_ == state::reading_head) watch(EPOLLIN);
            return step::wait;
        }
        return connection_failed(now);
    }
    if (got == 0) {
        must_close_ = true;
        finish(fresh_ || !head_text_.empty() ? "closed without a reply" : "closed (kept alive)", now);
        return step::again;
    }
    if (head_text_.empty()) first_byte_ = now;
    if (pace) spend(static_cast<std::size_t>(got));
    head_text_.append(scratch.data(), static_cast<std::size_t>(got));
    while (true) {
        const auto parsed = parse_response_head(head_text_, head_);
        if (parsed == head_state::incomplete) return step::again;
        if (parsed == head_state::malformed || (head_.status >= 200 && !head_.content_length)) {
            must_close_ = true;
            body_text_ = head_text_.substr(0, body_text_bytes_max);
            finish("malformed reply", now);
            return step::again;
        }
        if (head_.status >= 200) break;
        head_text_.erase(0, head_.head_bytes);
    }
    fresh_ = false;
    if (state_ == state::sending) must_close_ = true;
    state_ = state::reading_body;
    const auto rest = std::min<std::uint64_t>(head_text_.size() - head_.head_bytes, *head_.content_length);
    take_body(head_text_.data() + head_.head_bytes, static_cast<std::size_t>(rest));
    if (body_received_ == *head_.content_length) body_complete(now);
    return step::again;
}

void connection::take_body(const char* data, std::size_t size) {
    const bool good_get = !put_ && head_.status / 100 == 2;
    if (!good_get) {
        body_text_.append(data, std::min(size, body_text_bytes_max - std::min(body_text_bytes_max, body_text_.size())));
    } else if (worker_.control().options.body == body_use::verify && is_client() && data != nullptr) {
        if (hashing_) {
            EVP_DigestUpdate(hash_.get(), data, size);
        } else {
            auto offset = first_offset_ + body_received_;
            for (std::size_t done = 0; done < size && !content_differs_;) {
                const auto expected = worker_.control().content.bytes(content_, offset);
                const auto now_bytes = std::min(expected.size(), size - done);
                content_differs_ = now_bytes == 0 || std::memcmp(expected.data(), data + done, now_bytes) != 0;
                done += now_bytes;
                offset += now_bytes;
            }
        }
    }
    body_received_ += size;
    if (good_get) count_body(purpose_, size);
}

connection::step connection::read_body(steady::time_point now) {
    const auto left = static_cast<std::size_t>(*head_.content_length - body_received_);
    const bool discard =
        !put_ && head_.status / 100 == 2 && (worker_.control().options.body == body_use::discard || !is_client());
    auto& scratch = worker_.scratch();
    auto most = std::min(left, discard ? discard_step_bytes : scratch.size());
    if (!put_) most = allowed(most);
    if (most == 0) return step::wait;
    // MSG_TRUNC on TCP: the kernel drops the bytes instead of copying them.
    const auto got = discard ? ::recv(fd_, nullptr, most, MSG_DONTWAIT | MSG_TRUNC)
                             : ::recv(fd_, scratch.data(), most, MSG_DONTWAIT);
    if (got < 0) {
        if (errno == EINTR) return step::again;
        if (errno == EAGAIN) {
            watch(EPOLLIN);
            return step::wait;
        }
        return connection_failed(now);
    }
    if (got == 0) {
        must_close_ = true;
        finish("closed in mid-body", now);
        return step::again;
    }
    if (!put_) spend(static_cast<std::size_t>(got));
    take_body(discard ? nullptr : scratch.data(), static_cast<std::size_t>(got));
    if (body_received_ == *head_.content_length) body_complete(now);
    return step::again;
}

bool connection::content_is_right() {
    if (worker_.control().options.body != body_use::verify || !is_client()) return true;
    if (!hashing_) return !content_differs_;
    std::array<unsigned char, 16> digest{};
    unsigned length = digest.size();
    EVP_DigestFinal_ex(hash_.get(), digest.data(), &length);
    return target_.locator.starts_with(to_hex(digest));
}

void connection::body_complete(steady::time_point now) {
    const int wanted = !is_client() || worker_.control().options.range_bytes == 0 ? 200 : 206;
    if (purpose_ == role::idle) {
        finish("", now);  // Any response will do: the connection must stay open.
    } else if (put_ ? head_.status / 100 != 2 : head_.status != wanted) {
        finish(std::to_string(head_.status), now);
    } else if (!put_ && body_received_ != expected_bytes_) {
        must_close_ = true;
        finish("wrong length", now);
    } else if (!put_ && !content_is_right()) {
        finish("wrong content", now);
    } else {
        finish("", now);
    }
}

}  // namespace keepstore::bench
