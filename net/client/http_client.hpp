/// A pooled, non-blocking HTTP/1.1 client, plain and TLS: for S3, pull lists and reads from other clusters.
///
///     net::request r{.to = where, .target = "/bucket/key"};
///     KS_CO_TRY(auto response, co_await client.send(std::move(r), until));
///     KS_CO_TRY(const auto n, co_await response.read_some(chunk));
///
/// Threads: a client may be used from any thread at the same time. A call runs wholly on the executor of the coroutine
/// that awaits it (an io_context with one thread), and so must everything done with its response, its destruction
/// included. Connections live on that executor: each event loop has its own pool and its own limit per endpoint.
///
/// Lifetime: idle connections belong to the event loop (a service of the io_context) and are closed with it, or when
/// the client is destroyed. Their timer does not keep io_context::run() from returning. A response keeps what it needs
/// alive: it may outlive the client, but not the io_context.
///
/// Time: a deadline for the whole (until the last byte of the body is read) and limits for each phase, all checked by a
/// coarse tick of the loop (limits::net_tick), so that there is no timer per request.
/// Cancellation: a cancelled call ends with errc::cancelled and its connection is closed.
///
/// Errors: `cause` is a net::failure, which also tells the errc. Texts name the phase and the server and say what to
/// check; they never contain request targets and headers, which may hold secrets.
///
/// Proxies: those of client_options only. The environment (http_proxy and so on) is never read here.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/error.hpp"
#include "net/client/client_counters.hpp"
#include "net/client/failure.hpp"
#include "net/client/proxy.hpp"
#include "net/http/header.hpp"
#include "net/http/url.hpp"
#include "net/limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::net {

/// A request body that is produced while it is sent. Called by send() only, on its executor. The owner keeps it alive
/// until send() has returned.
class body_source {
  public:
    virtual ~body_source() = default;
    /// The size of the whole body: the Content-Length.
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
    /// The next piece; empty at the end. The client holds the slice until its bytes are with the kernel (or in a TLS
    /// record), then drops it before it asks for the next one. While the source suspends only the whole deadline
    /// counts. An error ends the request with that error, and its connection.
    [[nodiscard]] virtual awaitable<result<const_slice>> next() = 0;
    /// Goes back to the start, for sending it again. \returns false if it cannot.
    [[nodiscard]] virtual bool rewind() = 0;
};

struct phase_limits {
    /// Name, TCP connection and TLS handshake, over all addresses of the name. Does not include waiting for a
    /// connection of the pool, which only the deadline limits.
    std::chrono::steady_clock::duration connect = limits::net_connect_timeout;
    /// From the last byte of the request to the first of the response.
    std::chrono::steady_clock::duration first_byte = limits::net_first_byte_timeout;
    /// No byte moved, in whichever direction is due. Time that the caller or the body_source takes does not count.
    std::chrono::steady_clock::duration progress = limits::net_progress_timeout;
};

struct request {
    std::string method = "GET";  ///< In capitals.
    endpoint to;
    std::string target = "/";  ///< Path and query, percent-encoded by the caller; sent as it is.
    /// In this order. Host (from `to`), Content-Length and User-Agent are added where absent; Connection,
    /// Content-Length, Transfer-Encoding and Expect must not be given.
    std::vector<header> headers;
    /// The body: these pieces (held until send() returns), or the source's. With neither there is none (Content-Length:
    /// 0 where the method expects one).
    std::vector<const_slice> body;
    body_source* source = nullptr;
    /// Sends "Expect: 100-continue", and the body only when the server agrees or after limits::net_continue_wait.
    /// Ignored without a body, and for servers known never to send "100 Continue".
    bool expect_continue = false;
    phase_limits timing;
    /// Redirects (301, 302, 303, 307, 308) followed for GET and HEAD; 0 gives them to the caller. Towards another
    /// scheme, host or port only headers that carry no credentials go along (limited to Accept*, Range, If-*,
    /// User-Agent, X-Request-Id); never from https to http.
    unsigned redirects_max = 0;
    /// Whether the request may be sent again when a kept-alive connection ends before the first byte of the response:
    /// the server may have executed it. Default: by the method, all but POST and PATCH.
    std::optional<bool> idempotent;
    /// Always use a new connection: for a retry after a failure that the connection may have caused.
    bool fresh_connection = false;
};

class http_call;

/// A response whose head has been received. Its body is read from the socket when the caller reads it. Move only.
/// Destroyed before the end of the body it gives the connection back if the rest has arrived already and is small, and
/// closes it otherwise.
class response {
  public:
    response(response&&) noexcept;
    response& operator=(response&&) noexcept;
    ~response();

    [[nodiscard]] unsigned status() const noexcept;
    /// Views into the response: valid as long as it is, wherever it is moved.
    [[nodiscard]] std::span<const header_view> headers() const noexcept;
    /// The first header of this name (in any case); empty if there is none.
    [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
    [[nodiscard]] bool has(std::string_view name) const noexcept;
    /// The Content-Length that the server gave, also where no body follows (HEAD, 304).
    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept;
    /// The server that sent it: the request's endpoint, or the one that it was redirected to.
    [[nodiscard]] const endpoint& from() const noexcept;

    // One of these at a time, awaited in place. After an error every further call gives the same error.

    /// Reads at least one byte into `into` (not empty). 0: the clean end of the body.
    [[nodiscard]] awaitable<result<std::size_t>> read_some(std::span<std::byte> into);
    /// Reads until `into` is full or the body ends. \returns the number of bytes; fewer than into.size() only at the
    /// end.
    [[nodiscard]] awaitable<result<std::size_t>> read_full(std::span<std::byte> into);
    /// Reads the rest. More than `limit` is errc::too_large.
    [[nodiscard]] awaitable<result<std::string>> read_all(std::size_t limit);

  private:
    friend class client_core;
    explicit response(std::unique_ptr<http_call>) noexcept;

    std::unique_ptr<http_call> call_;
};

struct client_options {
    std::string user_agent = "keepstore/" KEEPSTORE_VERSION;
    /// Per endpoint and event loop, in use and idle together. More requests wait, first come first served.
    unsigned connections_max = limits::net_connections_max;
    /// An idle connection is closed after this, or a second before the server's own limit (Keep-Alive: timeout=).
    std::chrono::steady_clock::duration idle_limit = limits::net_idle_limit;
    /// PEM file with the certificate authorities to trust; empty: the system's.
    std::string ca_file;
    /// Accepts any certificate for any name. For tests and closed networks only.
    bool tls_insecure = false;
    /// Never connects to link-local addresses and the known metadata services of clouds, whatever name resolves to them
    /// (errc::bad_request, failure::invalid_request): for URLs that come from outside.
    bool refuse_link_local = false;
    proxy_rules proxies;  ///< Default: none.
    /// Names with fixed addresses, as in /etc/hosts, consulted before the name service. A name may occur several times:
    /// its addresses are tried in this order.
    std::vector<std::pair<std::string, std::string>> hosts;
};

class client_core;

class client {
  public:
    /// \returns errc::bad_request if the certificate authorities cannot be read.
    [[nodiscard]] static result<client> make(client_options);

    client(client&&) noexcept;
    client& operator=(client&&) noexcept;
    ~client();  ///< As close().

    /// Sends the request and waits for the head of the final response (1xx responses are skipped). Any status is a
    /// success here. `until` also limits the reading of the body. May be spawned.
    ///
    /// A final response that comes while the body is being sent ends the sending: it is returned, and the connection is
    /// closed after it.
    [[nodiscard]] awaitable<result<response>> send(request r, deadline until) const;

    /// Valid while the client lives.
    [[nodiscard]] const client_counters& counters() const noexcept;

    /// Closes idle connections and fails requests that wait for one, on all loops; later calls of send() fail.
    /// Requests under way go on. May be called from any thread, more than once.
    void close() noexcept;

  private:
    explicit client(std::shared_ptr<client_core>) noexcept;

    std::shared_ptr<client_core> core_;
};

}  // namespace keepstore::net
