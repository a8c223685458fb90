/// Writes one response at a time: head, framing, body. The head leaves together with the first piece of the body, in
/// one system call.
#pragma once

#include "net/server/client_io.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct iovec;

namespace keepstore::net {

class response_writer {
  public:
    explicit response_writer(client_io& io) noexcept : io_(io) {}

    struct request_facts {
        bool head_only = false;  ///< HEAD: no body.
        unsigned version = 11;
    };
    void begin_request(request_facts);

    /// Control characters in the value become spaces, so that no response can be split.
    void add_header(std::string_view name, std::string_view value);

    /// `keep_alive`: whether the connection may stay open after this response. `date_line` is "Date: ...\r\n".
    void start(unsigned status, std::optional<std::uint64_t> length, bool keep_alive, std::string_view date_line);
    /// After start(): one piece of the body.
    [[nodiscard]] awaitable<result<void>> write(std::span<const std::byte> bytes);
    /// As server_exchange::write_some(). The head is always sent.
    [[nodiscard]] awaitable<result<std::size_t>> write_some(std::span<const std::byte> bytes, byte_sink::when_full);
    /// As server_exchange::wait_writable().
    [[nodiscard]] awaitable<result<void>> wait_writable();
    /// Sends the rest: the head if nothing was sent yet, the final chunk.
    [[nodiscard]] awaitable<result<void>> finish();
    /// start(), write() and finish() at once.
    [[nodiscard]] awaitable<result<void>> send(std::string_view body);
    /// Frees what the last response has left, if it was large: an idle connection must be small.
    void release_memory();
    /// Sends nothing more; the client will notice that the response is incomplete.
    void abort() noexcept;

    [[nodiscard]] bool started() const noexcept { return status_ != 0; }
    [[nodiscard]] bool complete() const noexcept { return complete_; }
    [[nodiscard]] bool keeps_alive() const noexcept { return keep_alive_ && complete_; }
    /// Whether the connection must be reset, since its orderly end would look like the end of the body.
    [[nodiscard]] bool needs_reset() const noexcept {
        return started() && !complete_ && framing_ == framing::until_close;
    }
    [[nodiscard]] bool head_sent() const noexcept { return started() && head_.empty(); }
    [[nodiscard]] unsigned status() const noexcept { return status_; }

  private:
    enum class framing { none, length, chunked, until_close };

    [[nodiscard]] awaitable<result<void>> write_vectors(std::span<iovec> vectors, std::size_t counted);
    [[nodiscard]] std::unexpected<error> failed();

    client_io& io_;
    request_facts request_;
    std::string extra_;  ///< Headers of the application, ready to send.
    std::string head_;   ///< Not sent yet; empty when sent.
    unsigned status_ = 0;
    framing framing_ = framing::none;
    std::uint64_t left_ = 0;  ///< Announced and not yet written, with framing length.
    bool keep_alive_ = false;
    bool complete_ = false;
    bool broken_ = false;
};

}  // namespace keepstore::net
