/// One client connection: reads requests, calls the handler for each, in order, and keeps the connection as long as
/// both sides want. The session is the exchange that the handler sees.
///
///   handshake ──► idle ──► head ──► handling ──► discarding
///                  ▲                   │              │
///                  └───────────────────┴──────────────┘   (on to head, if the next request has begun to arrive)
///
///   any but idle ──► lingering ──► closed   (plain HTTP to a TLS port, malformed head, connection not kept)
///
///   handshake   TLS is being negotiated.
///   idle        Waits for the first byte of a request. Holds no input buffer.
///   head        A request has begun to arrive; its head is incomplete.
///   handling    The handler runs. Only here work is cancelled: deadline, slow client, client gone, drain.
///   discarding  The response was sent; the small rest of the request's body is read, to keep the connection.
///   lingering   The last response is sent; then input is dropped for a while, since closing with unread input
///               would reset the connection and could destroy the response on its way.
///
///   A client that closes, or a wait that takes too long (check()), ends the connection from every phase.
///
/// Lives on one event loop; everything runs there. The loop's tick calls check() every 100 ms.
#pragma once

#include "net/http/head_scanner.hpp"
#include "net/http/input_buffer.hpp"
#include "net/server/body_reader.hpp"
#include "net/server/client_io.hpp"
#include "net/server/head_parser.hpp"
#include "net/server/min_throughput.hpp"
#include "net/server/response_writer.hpp"
#include "net/server/server_exchange.hpp"
#include "net/server/session_loop.hpp"

#include <boost/asio/cancellation_signal.hpp>

namespace keepstore::net {

class session final : public server_exchange, public session_hook, private stall_listener {
  public:
    using clock = std::chrono::steady_clock;

    session(session_loop& loop, std::unique_ptr<stream> peer, std::string remote_address, bool tls);
    ~session() override;

    /// The whole life of the connection. Spawned once, with the slot of signal() bound.
    [[nodiscard]] awaitable<void> run();
    [[nodiscard]] asio::cancellation_signal& signal() noexcept { return signal_; }

    // --- called by the loop -------------------------------------------------------------------------------------
    void check(clock::time_point now);
    void cancel_request(cancel_reason);
    void kill();
    [[nodiscard]] bool idle() const noexcept { return phase_ == phase::idle; }
    [[nodiscard]] bool killed() const noexcept { return io_.killed(); }
    [[nodiscard]] clock::time_point since() const noexcept { return phase_since_; }
    [[nodiscard]] bool request_is_arriving() const noexcept { return io_.peer().has_unread_input(); }

    // --- server_exchange -------------------------------------------------------------------------------------------
    const request_head& head() const noexcept override { return request_.head; }
    std::string_view remote_address() const noexcept override { return remote_address_; }
    clock::time_point started_at() const noexcept override { return started_at_; }
    void set_deadline(deadline d) override { deadline_ = d; }
    deadline get_deadline() const noexcept override { return deadline_; }
    cancel_reason cancelled_because() const noexcept override { return io_.reason(); }
    byte_source& body() noexcept override { return body_; }
    awaitable<result<std::string>> read_body(std::size_t limit) override;
    void set_header(std::string_view name, std::string_view value) override { response_.add_header(name, value); }
    awaitable<result<void>> send(unsigned status, std::string_view body) override;
    awaitable<result<void>> start(unsigned status, std::optional<std::uint64_t> length) override;
    awaitable<result<void>> wait_writable() override { return response_.wait_writable(); }
    awaitable<result<void>> write(std::span<const std::byte> bytes) override { return response_.write(bytes); }
    awaitable<result<std::size_t>> write_some(std::span<const std::byte> bytes, byte_sink::when_full mode) override {
        return response_.write_some(bytes, mode);
    }
    awaitable<result<void>> finish() override { return response_.finish(); }
    void abort() noexcept override { response_.abort(); }
    bool response_started() const noexcept override { return response_.started(); }
    unsigned status() const noexcept override { return response_.status(); }
    std::uint64_t response_body_bytes() const noexcept override { return io_.counted_bytes(); }
    clock::time_point response_started_at() const noexcept override { return response_started_at_; }

  private:
    enum class phase { handshake, idle, head, handling, discarding, lingering };
    enum class head_result { request, refused, closed };

    void stall_ended() noexcept override;
    /// Cancels what the handler awaits.
    void emit_signal() {
        emitted_ = true;
        signal_.emit(asio::cancellation_type::terminal);
    }
    void enter(phase);
    void start_response(unsigned status, std::optional<std::uint64_t> length);
    [[nodiscard]] bool may_keep_alive() const;

    [[nodiscard]] awaitable<void> serve();
    [[nodiscard]] awaitable<bool> shake_hands();
    [[nodiscard]] awaitable<head_result> read_head();
    [[nodiscard]] awaitable<void> refuse(refusal);
    [[nodiscard]] awaitable<void> handle_request();
    [[nodiscard]] awaitable<bool> discard_body();
    [[nodiscard]] awaitable<void> linger();
    void finish_connection() noexcept;

    session_loop& loop_;
    asio::cancellation_signal signal_;
    client_io io_;
    input_buffer input_;
    body_reader body_;
    response_writer response_;
    head_scanner scanner_;
    parsed_head request_;
    const std::string remote_address_;
    const bool tls_;

    phase phase_ = phase::idle;
    clock::time_point phase_since_;
    clock::time_point started_at_;
    clock::time_point response_started_at_;
    deadline deadline_;
    // While a cancelled request unwinds.
    clock::time_point cancelled_at_;
    clock::time_point last_emitted_at_;
    bool emitted_ = false;      ///< signal_ was emitted: the cancellation state must be reset before the next request.
    clock::duration waited_{};  ///< For the client, as far as throughput_ knows of it.
    min_throughput throughput_;
};

}  // namespace keepstore::net
