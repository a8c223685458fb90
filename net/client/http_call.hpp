/// One request and its response on one connection: sends, reads the head, then hands out the body.
///
///   connecting ──► sending ───────────────► awaiting_head ─────────► body ──► done
///                   │   ▲                                             ▲
///                   ▼   │ 1xx, or waited long enough                  │
///            awaiting_continue                                        │
///                   │   │                                             │
///                   └───┴─ (from any of them) final head has come ────┘
///
///   every state but done: an error, a time limit or a cancellation leads to failed.
///
///   connecting         No connection yet: waits for a place in the pool, or opens a connection.
///   sending            Head and body leave. Input is read when the socket reports it, since a server may refuse a
///                      request before it has all of it.
///   awaiting_continue  The head has left, the body is withheld ("Expect: 100-continue").
///   awaiting_head      Nothing more is sent: all has left (request_complete_), or the server takes no more; then a
///                      response may still be in the socket.
///   body               head_ is the final one; framing_, left_ and chunks_ describe the rest of the body.
///   done               The body was read. The connection is back in the pool, or closed.
///   failed             Every further call returns error_.
///
///   Invariants  connection_ is open in sending, awaiting_* and body, and null in the other states.
///               place_ is held while connection_ is open or being opened.
///               A connection goes back to the pool only if request_complete_: otherwise the server still expects
///               the rest of the request.
///
/// Used on the executor of its loop only, by one coroutine at a time.
#pragma once

#include "net/client/body_feed.hpp"
#include "net/client/connection_pool.hpp"
#include "net/client/response_head.hpp"
#include "net/client/timer_list.hpp"
#include "net/http/chunk_decoder.hpp"
#include "net/http/head_scanner.hpp"
#include "net/http/input_buffer.hpp"
#include "net/http/stream.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct iovec;

namespace keepstore::net {

class http_call {
  public:
    http_call(std::shared_ptr<connection_pool>, endpoint to, phase_limits, deadline whole);
    ~http_call();
    http_call(const http_call&) = delete;
    http_call& operator=(const http_call&) = delete;

    // --- before the response --------------------------------------------------------------------------------------

    /// Gets a connection: from the pool, or a new one if there is none or `fresh` is set.
    [[nodiscard]] awaitable<result<void>> connect(bool fresh);
    /// Sends the request and reads the head of the final response. After connect().
    [[nodiscard]] awaitable<result<void>> run(const request&, std::string head, body_feed&);
    /// Whether run() failed because a kept-alive connection ended before the first byte of the response.
    [[nodiscard]] bool was_stale() const noexcept { return stale_; }

    // --- the response, after run() --------------------------------------------------------------------------------

    [[nodiscard]] const response_head& head() const noexcept { return head_; }
    [[nodiscard]] const endpoint& to() const noexcept { return to_; }
    /// Reads until something came, or (`full`) until `into` is full or the body ends.
    [[nodiscard]] awaitable<result<std::size_t>> read(std::span<std::byte> into, bool full);
    [[nodiscard]] awaitable<result<std::string>> read_all(std::size_t limit);

  private:
    enum class phase { connecting, sending, awaiting_continue, awaiting_head, body, done, failed };
    enum class framing { none, length, chunked, until_close };
    enum class head_step { incomplete, interim, final };

    /// Tells a call that is sending that its socket has become readable. Shared with the handler of that wait, which
    /// may run when the call is gone.
    struct early_input {
        http_call* owner;
        enum { off, armed, readable } state = off;
    };

    // Sending (http_call.cpp).
    [[nodiscard]] awaitable<result<void>> send_request(const request&, std::string_view head, body_feed&);
    [[nodiscard]] awaitable<result<void>> send_pieces(std::span<iovec> pieces);
    [[nodiscard]] awaitable<result<void>> send_rest(body_feed&);
    [[nodiscard]] result<void> read_early_response();
    void watch_input();
    [[nodiscard]] std::unexpected<error> source_failed(error);

    // Receiving (http_call_response.cpp).
    [[nodiscard]] awaitable<result<void>> read_head();
    [[nodiscard]] result<head_step> take_head();
    void begin_body(bool head_request);
    [[nodiscard]] io_outcome try_read(std::span<std::byte> into) noexcept;
    [[nodiscard]] io_outcome try_read_body(std::span<std::byte> into);
    void take_framing() noexcept;
    void finish_body() noexcept;
    void drain() noexcept;

    [[nodiscard]] awaitable<result<void>> wait(io_status status, steady::time_point due, failure late);
    [[nodiscard]] awaitable<result<void>> yield();
    [[nodiscard]] std::unexpected<error> fail_with(failure, errc, std::string_view text);
    [[nodiscard]] std::unexpected<error> fail_with(error);
    [[nodiscard]] std::unexpected<error> no_response();
    void close() noexcept;

    // Constant after construction.
    const std::shared_ptr<connection_pool> pool_;
    client_shared& shared_;
    const endpoint to_;
    const phase_limits timing_;
    const deadline whole_;

    phase phase_ = phase::connecting;
    std::optional<error> error_;  ///< In phase failed.

    timed_waiter waiter_;
    connection_pool::place place_;
    std::unique_ptr<stream> connection_;
    bool reused_ = false;  ///< connection_ has served another request.
    bool stale_ = false;
    std::size_t turn_bytes_ = 0;  ///< Moved since the call last let others of the loop run.

    // Sending.
    std::shared_ptr<early_input> early_input_;  ///< Null: never needed.
    bool request_complete_ = false;             ///< The kernel, or TLS, has taken all of it.
    bool continue_timed_out_ = false;           ///< "100 Continue" was waited for and has not come.

    // Receiving.
    input_buffer input_;
    head_scanner scanner_;
    unsigned interim_ = 0;
    bool any_byte_ = false;  ///< Something of the response has arrived.
    std::string head_text_;  ///< The bytes that head_ has views into.
    response_head head_;
    framing framing_ = framing::none;
    std::uint64_t left_ = 0;  ///< Of a body with a length.
    chunk_decoder chunks_;
};

}  // namespace keepstore::net
