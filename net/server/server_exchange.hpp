/// One HTTP request and its response, as handlers see it: a parsed head, a body to read, a response to send.
/// Implemented by the session, used by the router. Nothing here depends on sockets or Beast.
///
/// Used by the session's coroutine only, on the session's executor.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/byte_stream.hpp"
#include "base/deadline.hpp"
#include "net/http/header.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::net {

struct request_head {
    std::string method;
    std::string target;     ///< As sent (absolute form reduced to origin form); secrets not redacted.
    std::string path;       ///< Percent-decoded, without the query.
    std::string query;      ///< Raw, without '?'.
    unsigned version = 11;  ///< 10 or 11.
    std::vector<header> headers;
    std::optional<std::uint64_t> content_length;
    bool chunked = false;

    /// First value of a header, matched without regard to case; empty if absent.
    [[nodiscard]] std::string_view get(std::string_view name) const noexcept { return header_value(headers, name); }
    [[nodiscard]] bool has(std::string_view name) const noexcept { return has_header(headers, name); }
};

/// Why a request's work was cancelled; decides the response (499 in the log, 503, or a closed connection).
enum class cancel_reason { none, client_gone, request_deadline, too_slow, draining };

class server_exchange {
  public:
    virtual ~server_exchange() = default;

    [[nodiscard]] virtual const request_head& head() const noexcept = 0;
    [[nodiscard]] virtual std::string_view remote_address() const noexcept = 0;  ///< "ip:port".
    [[nodiscard]] virtual std::chrono::steady_clock::time_point started_at() const noexcept = 0;

    // --- deadline -----------------------------------------------------------------------------------------------
    /// When it passes, whatever the handler awaits is cancelled (errc::cancelled), and cancelled_because() returns
    /// request_deadline.
    virtual void set_deadline(deadline) = 0;
    [[nodiscard]] virtual deadline get_deadline() const noexcept = 0;
    [[nodiscard]] virtual cancel_reason cancelled_because() const noexcept = 0;

    // --- body ---------------------------------------------------------------------------------------------------
    /// The body, decoded. The first read sends "100 Continue" to a client that expects it. Lives as long as the
    /// exchange.
    [[nodiscard]] virtual byte_source& body() noexcept = 0;
    /// Reads the whole body. errc::too_large beyond `limit`.
    [[nodiscard]] virtual awaitable<result<std::string>> read_body(std::size_t limit) = 0;

    // --- response -----------------------------------------------------------------------------------------------
    /// Adds a header to the response. Before start() or send().
    virtual void set_header(std::string_view name, std::string_view value) = 0;

    /// Sends a complete response. Adds Content-Length and Date. For HEAD the body is only measured.
    [[nodiscard]] virtual awaitable<result<void>> send(unsigned status, std::string_view body) = 0;

    /// Begins a response whose body follows by write(): with Content-Length when `length` is known, else chunked (or
    /// closed at the end for HTTP/1.0). The head leaves together with the first piece.
    [[nodiscard]] virtual awaitable<result<void>> start(unsigned status, std::optional<std::uint64_t> length) = 0;
    /// Suspends until a write would not wait.
    [[nodiscard]] virtual awaitable<result<void>> wait_writable() = 0;
    [[nodiscard]] virtual awaitable<result<void>> write(std::span<const std::byte> bytes) = 0;
    /// Sends as much of `bytes` as the client takes at once or, with wait_briefly, soon. The memory of the rest may be
    /// given back; the next write continues after the bytes that were taken. Responses without a Content-Length are
    /// written whole. \returns how many bytes were taken.
    [[nodiscard]] virtual awaitable<result<std::size_t>> write_some(std::span<const std::byte> bytes,
                                                                    byte_sink::when_full) = 0;
    /// Ends a response begun by start(). A body shorter than announced closes the connection.
    [[nodiscard]] virtual awaitable<result<void>> finish() = 0;
    /// Ends a response begun by start() so that the client must notice that it is incomplete: no final chunk,
    /// connection closed.
    virtual void abort() noexcept = 0;

    [[nodiscard]] virtual bool response_started() const noexcept = 0;  ///< start() or send() was called.
    [[nodiscard]] virtual unsigned status() const noexcept = 0;        ///< 0 before.
    [[nodiscard]] virtual std::uint64_t response_body_bytes()
        const noexcept = 0;  ///< Taken so far, by the kernel or TLS.
    [[nodiscard]] virtual std::chrono::steady_clock::time_point response_started_at() const noexcept = 0;
};

/// The application: called for each well-formed request. `handle` must send a response (or abort); when it returns
/// without one the connection is closed.
class handler {
  public:
    virtual ~handler() = default;
    [[nodiscard]] virtual awaitable<void> handle(server_exchange&) = 0;
    /// The request has been waiting for its client (true), or the client has caught up (false): meanwhile the request
    /// gives up its place in the request limiter, so that slow clients cannot starve the rest.
    virtual void stalled(server_exchange&, bool) noexcept = 0;
};

}  // namespace keepstore::net
