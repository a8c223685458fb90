/// Reads the body of a request, decoded, straight from the socket into the caller's memory. Used by one coroutine.
#pragma once

#include "base/byte_stream.hpp"
#include "net/http/chunk_decoder.hpp"
#include "net/http/input_buffer.hpp"
#include "net/server/client_io.hpp"

#include <cstdint>
#include <optional>

namespace keepstore::net {

class body_reader final : public byte_source {
  public:
    body_reader(client_io& io, input_buffer& input) noexcept : io_(io), input_(input) {}

    /// Prepares for the next request, whose head was just taken from the input.
    void begin(const request_head& head, bool expects_continue);

    std::optional<std::uint64_t> size() const noexcept override { return size_; }
    awaitable<result<void>> wait_ready() override;
    awaitable<result<std::size_t>> read_some(std::span<std::byte> into) override;

    [[nodiscard]] bool finished() const noexcept { return finished_; }
    /// The client sent "Expect: 100-continue" and got no "100 Continue": it may or may not send the body.
    [[nodiscard]] bool awaits_continue() const noexcept { return expects_continue_; }
    /// The response has begun: from now on no "100 Continue" is sent.
    void response_started() noexcept { may_continue_ = false; }
    /// Body bytes that are still to come, if their number is known.
    [[nodiscard]] std::optional<std::uint64_t> left() const noexcept;
    [[nodiscard]] bool broken() const noexcept { return broken_; }

  private:
    [[nodiscard]] awaitable<bool> send_continue();
    [[nodiscard]] awaitable<result<std::size_t>> read_plain(std::span<std::byte> into);
    [[nodiscard]] awaitable<result<std::size_t>> read_chunked(std::span<std::byte> into);
    [[nodiscard]] std::size_t take_buffered(std::span<std::byte> into);
    void finish() noexcept;
    [[nodiscard]] std::unexpected<error> stopped();

    client_io& io_;
    input_buffer& input_;
    std::optional<std::uint64_t> size_;
    std::uint64_t left_ = 0;  ///< Without chunks.
    chunk_decoder chunks_;
    bool chunked_ = false;
    bool finished_ = true;
    bool expects_continue_ = false;
    bool may_continue_ = false;
    bool broken_ = false;
};

}  // namespace keepstore::net
