/// One request and its response on one connection: sends, reads the head, then hands out the body. One state machine,
/// hence one long file.
///
/// Used on the executor of its loop only, by one coroutine at a time.
#pragma once

#include "net/client/body_feed.hpp"
#include "net/client/connection_pool.hpp"
#include "net/client/response_head.hpp"
#include "net/client/transport.hpp"
#include "net/client/watch_list.hpp"
#include "net/http/chunk_decoder.hpp"
#include "net/http/input_buffer.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

struct iovec;

namespace keepstore::net {

class http_call {
  public:
    http_call(std::shared_ptr<connection_pool>, endpoint to, phase_limits, deadline whole);
    ~http_call();
    http_call(const http_call&) = delete;
    http_call& operator=(const http_call&) = delete;

    // --- before the response --------------------------------------------------------------------------------------

    /// Gets a connection: from the pool, or a new one. The error is as the caller of send() gets it.
    [[nodiscard]] awaitable<result<void>> connect(bool fresh);
    /// Sends the request and reads the head of the final response.
    [[nodiscard]] awaitable<result<void>> run(const request&, std::string head, body_feed&);
    /// After an error of run(): whether a kept-alive connection ended before the first byte of the response.
    [[nodiscard]] bool was_stale() const noexcept { return stale_; }

    // --- the response ---------------------------------------------------------------------------------------------

    [[nodiscard]] const response_head& head() const noexcept { return head_; }
    [[nodiscard]] const endpoint& to() const noexcept { return to_; }
    [[nodiscard]] steady::time_point first_byte_at() const noexcept { return first_byte_at_; }
    [[nodiscard]] bool finished() const noexcept { return finished_; }
    /// Reads until something came, or (`full`) until `into` is full or the body ends.
    [[nodiscard]] awaitable<result<std::size_t>> read(std::span<std::byte> into, bool full);
    [[nodiscard]] awaitable<result<std::string>> read_all(std::size_t limit);
    /// Reads what is left of the body if it is here already and little, so that the connection can be kept.
    void drain() noexcept;

  private:
    enum class framing { none, length, chunked, until_close };
    enum class head_step { incomplete, interim, final };
    enum class head_end { answered, go_on };

    /// Told by the socket, while sending, that the server has something to say.
    struct answer_flag {
        http_call* owner;
        bool armed = false;
        bool readable = false;
    };

    [[nodiscard]] awaitable<result<bool>> send_all(std::span<iovec> pieces);
    [[nodiscard]] awaitable<result<void>> send_body(body_feed&);
    [[nodiscard]] result<bool> look_for_answer();
    void watch_for_answer();
    [[nodiscard]] awaitable<result<head_end>> read_head(std::optional<steady::time_point> go_on_at);
    [[nodiscard]] result<head_step> take_head();
    [[nodiscard]] result<void> begin_body();

    [[nodiscard]] io_outcome try_read(std::span<std::byte> into) noexcept;
    [[nodiscard]] io_outcome try_read_body(std::span<std::byte> into);
    void take_framing() noexcept;
    void finish_body() noexcept;

    [[nodiscard]] awaitable<result<void>> wait(io_status status, steady::time_point due, failure late);
    [[nodiscard]] awaitable<result<void>> give_turn();
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

    watch watch_;
    connection_pool::place place_;
    std::unique_ptr<transport> connection_;  ///< Null: closed, or given back.
    std::shared_ptr<answer_flag> answer_;    ///< Null: never needed.
    std::optional<error> error_;
    input_buffer input_;
    std::size_t turn_bytes_ = 0;
    bool reused_ = false;
    bool stale_ = false;

    // Sending.
    bool head_request_ = false;  ///< HEAD: no body will follow.
    bool sent_all_ = false;
    bool send_failed_ = false;
    bool answered_ = false;   ///< The final head is in head_.
    bool continued_ = false;  ///< The server has said "100 Continue".

    // Receiving.
    head_scanner scanner_;
    unsigned interim_ = 0;
    bool any_byte_ = false;
    steady::time_point first_byte_at_;
    std::string head_text_;  ///< What head_ has views into.
    response_head head_;
    framing framing_ = framing::none;
    std::uint64_t left_ = 0;  ///< Of a body with a length.
    chunk_decoder chunks_;
    bool finished_ = false;
};

}  // namespace keepstore::net
