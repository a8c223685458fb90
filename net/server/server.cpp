#include "net/server/server.hpp"

#include "base/cancellable.hpp"
#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "net/http/stream.hpp"
#include "net/limits.hpp"
#include "net/server/session_loop.hpp"
#include "net/tls/tls_server_context.hpp"
#include "net/tls/tls_server_stream.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <fmt/format.h>

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>

namespace keepstore::net {
namespace {

using asio::ip::tcp;

std::string text_of(const tcp::endpoint& endpoint) {
    auto address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    }
    if (address.is_v6()) return fmt::format("[{}]:{}", address.to_string(), endpoint.port());
    return fmt::format("{}:{}", address.to_string(), endpoint.port());
}

/// The number of connections that the limit on descriptors allows.
std::size_t connections_possible() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 768;
    if (files.rlim_cur == RLIM_INFINITY) return 1'000'000;
    return std::max<std::size_t>(16, files.rlim_cur / 4 * limits::connections_of_four_descriptors);
}

/// Options that accepted sockets inherit from the listening one: no system call for each connection.
void set_inherited_options(int fd, const transport_options& options) {
    const auto set = [fd](int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); };
    const int period = static_cast<int>(std::chrono::seconds(limits::tcp_keepalive_period).count());
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, period);
    set(IPPROTO_TCP, TCP_KEEPINTVL, period);
    // Heads leave together with bodies; a small last piece must not wait for an acknowledgement.
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    // A client that does not read must not fill the kernel's memory before it is noticed (client_io adapts the limit).
    set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(limits::unsent_bytes_first));
    const auto& name = options.tcp_congestion;
    if (!name.empty() &&
        ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size()))) {
        log::warning("TCP congestion control is not available", {{"name", name}});
    }
}

}  // namespace

struct server::listener {
    tcp::acceptor acceptor;
    tcp protocol;
    std::shared_ptr<tls_server_context> tls;
};

/// State that sessions and loops may still use after the server is destroyed, when event loops are stopped in mid-work.
struct server::shared : std::enable_shared_from_this<shared> {
    shared(handler& a, transport_options o) : application(a), options(std::move(o)) {
        const std::size_t possible = connections_possible();
        if (options.connections_max > possible) {
            log::warning("the limit on open files is too low for MaxConnections: fewer connections are accepted",
                         {{"MaxConnections", options.connections_max}, {"possible", possible}});
        }
        if (options.connections_max == 0 || options.connections_max > possible) options.connections_max = possible;
    }

    handler& application;
    transport_options options;
    std::vector<std::shared_ptr<session_loop>> loops;
    std::vector<std::shared_ptr<listener>> listeners;
    std::size_t next_loop = 0;  ///< Touched on the accepting loop only.
    std::atomic<bool> stopping{false};
    std::atomic<std::size_t> open{0};  ///< Accepted and not yet closed.
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> pauses{0};

    void add_listener(tcp::acceptor acceptor, tcp protocol, std::shared_ptr<tls_server_context> tls) {
        boost::system::error_code ignored;
        acceptor.non_blocking(true, ignored);
        listeners.push_back(std::make_shared<listener>(listener{std::move(acceptor), protocol, std::move(tls)}));
    }

    void deal(const listener& from, unique_fd fd, const tcp::endpoint& peer) {
        auto& loop = loops[next_loop++ % loops.size()];
        open.fetch_add(1, std::memory_order_relaxed);
        accepted.fetch_add(1, std::memory_order_relaxed);
        auto context = from.tls ? from.tls->current() : nullptr;
        run_later(loop->executor(),
                  [loop, fd = std::move(fd), peer, protocol = from.protocol, context = std::move(context)]() mutable {
                      tcp::socket socket(loop->executor());
                      boost::system::error_code code;
                      socket.assign(protocol, fd.get(), code);
                      if (code) return loop->count_closed();
                      static_cast<void>(fd.release());
                      auto s = context ? make_tls_server_stream(std::move(socket), *context)
                                       : make_plain_stream(std::move(socket));
                      loop->adopt(std::move(s), text_of(peer), context != nullptr);
                  });
    }

    enum class accept_result { queue_empty, no_resources };

    accept_result accept_all(listener& from) {
        while (true) {
            if (open.load(std::memory_order_relaxed) >= options.connections_max) {
                pollfd ask{from.acceptor.native_handle(), POLLIN, 0};
                return ::poll(&ask, 1, 0) == 1 ? accept_result::no_resources : accept_result::queue_empty;
            }
            tcp::endpoint peer;
            auto size = static_cast<socklen_t>(peer.capacity());
            const int fd = ::accept4(from.acceptor.native_handle(), peer.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) {
                peer.resize(size);
                deal(from, unique_fd(fd), peer);
                continue;
            }
            switch (errno) {
                case EAGAIN:
                    return accept_result::queue_empty;
                case EMFILE:
                case ENFILE:
                case ENOBUFS:
                case ENOMEM:
                    return accept_result::no_resources;
                default:
                    continue;  // An error of that one connection (accept(2)).
            }
        }
    }

    /// Closes idle connections, to make room for new ones.
    void close_some_idle() {
        pauses.fetch_add(1, std::memory_order_relaxed);
        const std::size_t count = std::clamp<std::size_t>(options.connections_max / 64, 1, 16);
        for_each_loop([count](session_loop& loop) {
            for (std::size_t i = 0; i < count && loop.close_oldest_idle();) ++i;
        });
    }

    void for_each_loop(auto action) {
        for (auto& loop : loops) run_later(loop->executor(), [loop, action] { action(*loop); });
    }
};

server::server(std::vector<asio::any_io_executor> loops, handler& application, transport_options options)
    : shared_(std::make_shared<shared>(application, std::move(options))) {
    for (auto& executor : loops) {
        shared_->loops.push_back(
            std::make_shared<session_loop>(executor, application, shared_->options, [s = std::weak_ptr(shared_)] {
                if (const auto self = s.lock()) self->open.fetch_sub(1, std::memory_order_relaxed);
            }));
    }
}

server::~server() {
    shared_->stopping = true;
    for (auto& loop : shared_->loops) loop->stop();
}

result<std::uint16_t> server::listen(const std::string& address, std::uint16_t port,
                                     std::shared_ptr<tls_server_context> tls) {
    boost::system::error_code code;
    const auto ip =
        address.empty() ? asio::ip::address(asio::ip::address_v6::any()) : asio::ip::make_address(address, code);
    if (code) return fail(errc::bad_request, "not an IP address", code);
    tcp::endpoint endpoint(ip, port);
    tcp::acceptor acceptor(shared_->loops.front()->executor());
    acceptor.open(endpoint.protocol(), code);
    if (code && address.empty()) {  // A kernel without IPv6.
        endpoint = tcp::endpoint(tcp::v4(), port);
        acceptor.open(endpoint.protocol(), code);
    }
    if (code) return fail(errc::unavailable, "cannot make a socket", code);
    if (address.empty() && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), code);
    acceptor.set_option(tcp::acceptor::reuse_address(true), code);
    set_inherited_options(acceptor.native_handle(), shared_->options);
    acceptor.bind(endpoint, code);
    if (code) return fail(errc::unavailable, "cannot bind the address", code);
    acceptor.listen(shared_->options.backlog, code);
    if (code) return fail(errc::unavailable, "cannot listen", code);
    const auto bound = acceptor.local_endpoint(code).port();
    shared_->add_listener(std::move(acceptor), endpoint.protocol(), std::move(tls));
    return bound;
}

result<std::uint16_t> server::listen_on(unique_fd socket, std::shared_ptr<tls_server_context> tls) {
    boost::system::error_code code;
    tcp::endpoint bound;
    auto size = static_cast<socklen_t>(bound.capacity());
    if (::getsockname(socket.get(), bound.data(), &size) != 0)
        return std::unexpected(error_from_errno(errno, "getsockname"));
    bound.resize(size);
    tcp::acceptor acceptor(shared_->loops.front()->executor());
    acceptor.assign(bound.protocol(), socket.get(), code);
    if (code) return fail(errc::unavailable, "cannot use the socket", code);
    static_cast<void>(socket.release());
    set_inherited_options(acceptor.native_handle(), shared_->options);
    shared_->add_listener(std::move(acceptor), bound.protocol(), std::move(tls));
    return bound.port();
}

void server::start() {
    for (auto& loop : shared_->loops) loop->start();
    for (auto& from : shared_->listeners) {
        spawn(shared_->loops.front()->executor(), accept_until_stopped(shared_, from));
    }
}

awaitable<void> server::accept_until_stopped(std::shared_ptr<shared> self, std::shared_ptr<listener> from) {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    while (!self->stopping) {
        auto [code] = co_await from->acceptor.async_wait(tcp::acceptor::wait_read, use_tuple);
        if (code || self->stopping) co_return;
        if (self->accept_all(*from) == shared::accept_result::queue_empty) continue;
        self->close_some_idle();
        pause.expires_after(self->options.tick);
        static_cast<void>(co_await expiry(pause));
    }
}

awaitable<bool> server::drain(deadline until) {
    const auto self = shared_;
    const auto all_closed = [self] { return self->open.load(std::memory_order_relaxed) == 0; };
    asio::steady_timer timer(co_await asio::this_coro::executor);

    self->for_each_loop([](session_loop& loop) { loop.begin_drain(); });
    // A connection that is being made when the socket is closed is reset, with a request on it that the client may not
    // send again. A load balancer makes new ones until it has seen that the service is not ready.
    const auto accept_until = until.within(limits::drain_accept_time);
    std::optional<std::uint64_t> before;
    while (before != self->accepted && !accept_until.passed()) {
        before = self->accepted;
        timer.expires_after(limits::drain_quiet_time);
        static_cast<void>(co_await expiry(timer));
    }
    one_shot<int> stopped;
    asio::post(self->loops.front()->executor(), [self, stopped] {
        self->stopping = true;
        for (auto& from : self->listeners) {
            // The kernel would reset the connections in its queue: accept them first.
            static_cast<void>(self->accept_all(*from));
            boost::system::error_code ignored;
            from->acceptor.close(ignored);
        }
        stopped.set(0);
    });
    static_cast<void>(co_await stopped.wait());

    const auto wait_until = [&](deadline limit) -> awaitable<bool> {
        while (!all_closed()) {
            if (limit.passed()) co_return false;
            timer.expires_after(self->options.tick / 4);
            static_cast<void>(co_await expiry(timer));
        }
        co_return true;
    };
    const bool by_itself = co_await wait_until(until);
    if (!by_itself) {
        self->for_each_loop([](session_loop& loop) { loop.cancel_all(cancel_reason::draining); });
        const bool unwound = co_await wait_until(deadline::in(limits::drain_cancel_grace));
        if (!unwound) {
            self->for_each_loop([](session_loop& loop) { loop.kill_all(); });
            const bool cut = co_await wait_until(deadline::in(limits::drain_cancel_grace));
            if (!cut) log::error("requests do not end", {{"connections", self->open.load()}});
        }
    }
    co_return by_itself;
}

server::stats server::snapshot() const noexcept {
    stats s{};
    for (const auto& loop : shared_->loops) {
        s.connections_idle += loop->count.idle.load(std::memory_order_relaxed);
        s.refused_total += loop->count.refused.load(std::memory_order_relaxed);
        s.too_slow_total += loop->count.too_slow.load(std::memory_order_relaxed);
        s.header_timeouts_total += loop->count.header_timeouts.load(std::memory_order_relaxed);
    }
    s.connections_open = shared_->open.load(std::memory_order_relaxed);
    s.connections_max = shared_->options.connections_max;
    s.connections_total = shared_->accepted.load(std::memory_order_relaxed);
    s.accept_pauses_total = shared_->pauses.load(std::memory_order_relaxed);
    return s;
}

}  // namespace keepstore::net
