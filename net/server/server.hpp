/// The HTTP server: listeners, and sessions spread over the event loops. One loop accepts and deals the sockets out in
/// turn; a connection stays on its loop.
///
/// The event loops are the caller's: one io_context with one thread each. Order of life: construct, listen, start,
/// (drain), destroy after drain returned or after the loops have stopped running.
#pragma once

#include "base/deadline.hpp"
#include "base/unique_fd.hpp"
#include "net/server/server_exchange.hpp"
#include "net/server/transport_options.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::net {

class tls_server_context;

class server {
  public:
    /// `application` must outlive the server's sessions. The first loop accepts.
    server(std::vector<asio::any_io_executor> loops, handler& application, transport_options options = {});
    ~server();
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    /// Binds; connections are queued by the system from now on and served from start() on. `address` is an IP address,
    /// or empty for all addresses of both families. Port 0: the system's choice. `tls`: nullptr for plain HTTP.
    /// \returns the port. Not safe concurrently with start().
    [[nodiscard]] result<std::uint16_t> listen(const std::string& address, std::uint16_t port,
                                               std::shared_ptr<tls_server_context> tls = nullptr);
    /// Takes a socket that is bound and listens already, such as one that the service manager holds open. Otherwise as
    /// listen().
    [[nodiscard]] result<std::uint16_t> listen_on(unique_fd socket, std::shared_ptr<tls_server_context> tls = nullptr);
    void start();

    /// Stops accepting, as soon as no connections come for a moment, or after limits::drain_accept_time; lets running
    /// requests finish and closes idle connections; at `until` running requests are cancelled, and their connections
    /// closed if they do not end. Call once.
    /// \returns whether everything ended without that.
    [[nodiscard]] awaitable<bool> drain(deadline until);

    struct stats {
        std::size_t connections_open;
        std::size_t connections_idle;
        std::size_t connections_max;
        std::uint64_t connections_total;
        std::uint64_t accept_pauses_total;  ///< Times that accepting stopped for lack of connections or descriptors.
        std::uint64_t refused_total;        ///< Malformed ones.
        std::uint64_t too_slow_total;       ///< Requests cut for the minimum transfer rate.
        std::uint64_t header_timeouts_total;
    };
    /// Safe to call from any thread.
    [[nodiscard]] stats snapshot() const noexcept;

  private:
    struct shared;
    struct listener;
    static awaitable<void> accept_until_stopped(std::shared_ptr<shared>, std::shared_ptr<listener>);

    std::shared_ptr<shared> shared_;
};

}  // namespace keepstore::net
