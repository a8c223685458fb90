#include "net/client/connector.hpp"

#include "base/units.hpp"
#include "net/client/local_address.hpp"
#include "net/client/request_head.hpp"
#include "net/client/response_head.hpp"
#include "net/http/head_scanner.hpp"
#include "net/limits.hpp"
#include "net/tls/tls_client_stream.hpp"

#include <fmt/format.h>
#include <boost/asio/ip/tcp.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace keepstore::net {
namespace {

using socket_type = stream::socket_type;
using addresses = address_cache::addresses;

/// A TCP connection being established.
struct attempt {
    asio::ip::address address;
    socket_type socket;
};

class connector {
  public:
    connector(client_shared& shared, name_lookups& lookups, const endpoint& to, timed_waiter& w, steady::time_point due,
              steady::time_point whole)
        : shared_(shared),
          lookups_(lookups),
          to_(to),
          via_(shared.options.proxies.find(to)),
          peer_(via_ ? via_->to : to),
          waiter_(w),
          due_(std::min(due, whole)),
          whole_(whole) {}

    awaitable<result<std::unique_ptr<stream>>> open() {
        KS_CO_TRY(auto found, co_await resolve());
        if (shared_.options.refuse_link_local && std::erase_if(found, is_link_local) > 0 && found.empty()) {
            co_return make_failure(shared_, to_, failure::invalid_request, errc::bad_request,
                                   "the address is link-local or a cloud's metadata service; such servers "
                                   "are never asked here");
        }
        auto socket = co_await connect(found);
        if (!socket) {
            if (socket.error() != errc::cancelled) shared_.addresses->forget(peer_.host);  // The name may have moved.
            co_return std::unexpected(std::move(socket.error()));
        }
        if (via_ && to_.tls) KS_CO_CHECK(co_await tunnel(*socket));
        co_return co_await secure(std::move(*socket));
    }

  private:
    std::unexpected<error> unavailable(failure f, std::string_view text) {
        return make_failure(shared_, to_, f, errc::unavailable, through_proxy(text));
    }
    [[nodiscard]] std::string through_proxy(std::string_view text) const {
        return via_ ? fmt::format("through the proxy {}: {}", to_string(via_->to), text) : std::string(text);
    }
    std::unexpected<error> cancelled() {
        return make_failure(shared_, to_, failure::cancelled, errc::cancelled, "cancelled while connecting");
    }
    std::unexpected<error> timed_out(std::string_view what) {
        if (steady::now() >= whole_) {
            return make_failure(
                shared_, to_, failure::deadline_passed, errc::timeout,
                through_proxy(fmt::format("the request's deadline passed while connecting ({})", what)));
        }
        return make_failure(shared_, to_, failure::connect_timeout, errc::timeout,
                            through_proxy(fmt::format("connect timeout: {}; is the server reachable?", what)));
    }

    /// Returns the addresses of the name; never empty.
    awaitable<result<addresses>> resolve() {
        const std::string& host = peer_.host;
        addresses fixed;
        for (const auto& [name, address] : shared_.options.hosts) {
            boost::system::error_code malformed;
            const auto parsed = asio::ip::make_address(address, malformed);
            if (name == host && !malformed) fixed.push_back(parsed);
        }
        if (auto known = shared_.addresses->find(host); !known.empty()) co_return known;
        if (!fixed.empty()) {
            shared_.addresses->keep(host, fixed);
            co_return fixed;
        }
        boost::system::error_code not_address;
        const auto literal = asio::ip::make_address(host, not_address);
        if (!not_address) co_return addresses{literal};
        auto looked_up = co_await lookups_.find(host, deadline(due_));
        if (!looked_up) {
            switch (looked_up.error().code) {
                case errc::cancelled:
                    co_return cancelled();
                case errc::timeout:
                    co_return timed_out("the name service does not answer");
                default:
                    co_return unavailable(failure::resolve,
                                          "too many names are being looked up; does the name service "
                                          "work?");
            }
        }
        auto& [code, found] = *looked_up;
        if (code || found.empty()) {
            co_return unavailable(
                failure::resolve,
                fmt::format("cannot resolve the host name: {}; is it spelled right, and does the name "
                            "service work?",
                            code ? code.message() : "no address"));
        }
        co_return std::move(found);
    }

    /// Returns the first connection that is established. The attempts run concurrently: a new one begins when the last
    /// one has failed, or has taken longer than limits::net_address_attempt_delay.
    awaitable<result<socket_type>> connect(const addresses& found) {
        const auto executor = co_await asio::this_coro::executor;
        std::vector<attempt> running;
        std::size_t next = 0;
        auto next_at = steady::now();
        int last = 0;
        while (true) {
            while (next < found.size() && (running.empty() || steady::now() >= next_at)) {
                attempt& a = running.emplace_back(found[next++], socket_type(executor));
                next_at = steady::now() + limits::net_address_attempt_delay;
                const int code = begin(a);
                if (code == 0) co_return take(a, found);
                if (code == EINPROGRESS) continue;
                last = code;
                running.pop_back();
            }
            if (running.empty()) break;
            // Only one socket can be waited for; the others are polled with each tick.
            auto due = running.size() > 1 ? std::min(due_, steady::now() + limits::net_tick) : due_;
            if (next < found.size()) due = std::min(due, next_at);
            const auto outcome = co_await waiter_.wait(running.back().socket, socket_type::wait_write, due);
            if (outcome != waited::ready && outcome != waited::expired) co_return cancelled();
            for (std::size_t i = running.size(); i-- > 0;) {
                const int code = state_of(running[i]);
                if (code == 0) co_return take(running[i], found);
                if (code == EINPROGRESS) continue;
                last = code;
                if (i + 1 == running.size()) next_at = steady::now();
                running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
            }
            if (steady::now() >= due_ && !running.empty()) {
                co_return timed_out("no answer to the connection attempt");
            }
        }
        co_return unavailable(failure::connect,
                              fmt::format("cannot connect: {}; does the server run, on this port, and does a firewall "
                                          "let us through?",
                                          std::generic_category().message(last)));
    }

    socket_type take(attempt& a, const addresses& found) {
        if (a.address != found.front()) shared_.addresses->prefer(peer_.host, a.address);
        return std::move(a.socket);
    }

    /// \returns 0 or errno.
    int begin(attempt& a) const {
        const asio::ip::tcp::endpoint to(a.address, peer_.port);
        boost::system::error_code code;
        a.socket.open(to.protocol(), code);
        if (!code) a.socket.native_non_blocking(true, code);
        if (!code) a.socket.set_option(asio::ip::tcp::no_delay(true), code);
        if (code) return code.value();
        return ::connect(a.socket.native_handle(), to.data(), static_cast<socklen_t>(to.size())) == 0 ? 0 : errno;
    }

    /// \returns 0 or errno; EINPROGRESS while undecided.
    static int state_of(attempt& a) {
        pollfd look{a.socket.native_handle(), POLLOUT, 0};
        if (::poll(&look, 1, 0) < 1) return EINPROGRESS;
        int failed = 0;
        socklen_t size = sizeof failed;
        return ::getsockopt(look.fd, SOL_SOCKET, SO_ERROR, &failed, &size) == 0 ? failed : errno;
    }

    /// Has the proxy connect to the server (RFC 9110, 9.3.6). Afterwards the socket leads there.
    awaitable<result<void>> tunnel(socket_type& socket) {
        auto text = write_connect_head(to_, shared_.options.user_agent, *via_);
        for (std::string_view left = text; !left.empty();) {
            const auto sent = ::send(socket.native_handle(), left.data(), left.size(), MSG_NOSIGNAL);
            if (sent > 0) {
                left.remove_prefix(static_cast<std::size_t>(sent));
                continue;
            }
            if (errno != EAGAIN) co_return unavailable(failure::connect, "the connection ended");
            KS_CO_CHECK(co_await wait_for(socket, socket_type::wait_write));
        }
        text.clear();
        head_scanner scanner;
        auto found = head_scanner::state::incomplete;
        std::array<char, 4 * KiB> piece;
        while (found == head_scanner::state::incomplete && text.size() < limits::net_head_bytes_max) {
            const auto got = ::recv(socket.native_handle(), piece.data(), piece.size(), 0);
            if (got > 0) {
                text.append(piece.data(), static_cast<std::size_t>(got));
                found = scanner.scan(text);
                continue;
            }
            if (got == 0 || errno != EAGAIN) {
                co_return unavailable(failure::connect, "the connection ended before a response");
            }
            KS_CO_CHECK(co_await wait_for(socket, socket_type::wait_read));
        }
        response_head head;
        const bool complete = found == head_scanner::state::complete;
        if (!complete || !parse_response_head(std::string_view(text).substr(0, scanner.length()), head)) {
            co_return unavailable(failure::connect, "the response is not HTTP/1");
        }
        if (head.status < 200 || head.status > 299) {
            co_return unavailable(failure::connect,
                                  head.status == 407
                                      ? "it wants a user name and password, or others (407)"
                                      : fmt::format("it does not connect to the server: status {}", head.status));
        }
        // The server of a TLS connection does not speak first.
        if (text.size() > scanner.length()) {
            co_return unavailable(failure::connect, "bytes before the TLS handshake");
        }
        co_return success();
    }

    awaitable<result<void>> wait_for(socket_type& socket, socket_type::wait_type what) {
        const auto outcome = co_await waiter_.wait(socket, what, due_);
        if (outcome == waited::expired) co_return timed_out("the proxy does not answer");
        if (outcome != waited::ready) co_return cancelled();
        co_return success();
    }

    awaitable<result<std::unique_ptr<stream>>> secure(socket_type socket) {
        if (!to_.tls) {
            shared_.counters.connections_opened.add();
            co_return make_plain_stream(std::move(socket));
        }
        auto out = std::make_unique<tls_client_stream>(std::move(socket), to_, shared_.tls);
        while (true) {
            const auto status = out->handshake();
            if (status == io_status::ok) break;
            if (status == io_status::failed || status == io_status::closed) {
                co_return handshake_failure(*out);
            }
            const auto outcome = co_await waiter_.wait(out->socket(), stream::wait_after(status), due_);
            if (outcome == waited::expired) co_return timed_out("the TLS handshake does not end");
            if (outcome != waited::ready) co_return cancelled();
        }
        shared_.counters.connections_opened.add();
        co_return std::move(out);
    }

    std::unexpected<error> handshake_failure(const tls_client_stream& s) {
        if (s.certificate_rejected()) {
            return unavailable(
                failure::certificate,
                fmt::format("the server's TLS certificate is not accepted: {}; check its name and dates, and "
                            "whether its authority is trusted here",
                            s.handshake_error()));
        }
        return unavailable(
            failure::tls,
            fmt::format("TLS handshake failed: {}; does the server speak TLS on this port?", s.handshake_error()));
    }

    client_shared& shared_;
    name_lookups& lookups_;
    const endpoint& to_;
    const proxy* const via_;  ///< Null: no proxy.
    const endpoint& peer_;    ///< What the socket is connected to: the proxy, or the server.
    timed_waiter& waiter_;
    const steady::time_point due_;
    const steady::time_point whole_;
};

}  // namespace

awaitable<result<std::unique_ptr<stream>>> open_connection(client_shared& shared, name_lookups& lookups,
                                                           const endpoint& to, timed_waiter& w, steady::time_point due,
                                                           steady::time_point whole) {
    connector c(shared, lookups, to, w, due, whole);
    co_return co_await c.open();
}

}  // namespace keepstore::net
