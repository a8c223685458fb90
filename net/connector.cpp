#include "net/connector.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace keepstore::net {
namespace {

using socket_type = transport::socket_type;
using addresses = address_cache::addresses;
using resolved = std::pair<boost::system::error_code, addresses>;

// Addresses that have a meaning for this host alone, and behind which clouds keep credentials: 169.254.0.0/16 (of all big
// clouds), fe80::/10, Amazon's fd00:ec2::254, Alibaba's 100.100.100.200, Azure's 168.63.129.16.
bool is_link_local(const asio::ip::address& a) {
    if (a.is_v6() && a.to_v6().is_v4_mapped())
        return is_link_local(asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6()));
    if (a.is_v6()) return a.to_v6().is_link_local() || a.to_string() == "fd00:ec2::254";
    const auto v4 = a.to_v4().to_uint();
    return v4 >> 16 == 0xa9fe || v4 == 0x646464c8 || v4 == 0xa83f8110;
}

class connector {
  public:
    connector(client_shared& shared, const endpoint& to, watch& w, steady::time_point due, steady::time_point whole)
        : shared_(shared), to_(to), watch_(w), due_(std::min(due, whole)), whole_(whole) {}

    awaitable<result<std::unique_ptr<transport>>> open() {
        auto found = co_await resolve();
        if (!found) co_return std::unexpected(std::move(found.error()));
        if (shared_.options.refuse_link_local && std::erase_if(*found, is_link_local) > 0 && found->empty()) {
            co_return std::unexpected(make_failure(shared_, to_, failure::invalid_request, errc::bad_request,
                                                   "the address is link-local or a cloud's metadata service; such servers "
                                                   "are never asked here"));
        }
        std::string last;
        bool expired = false;
        for (std::size_t i = 0; i < found->size(); ++i) {
            const auto now = steady::now();
            const auto share = now + (due_ - now) / static_cast<std::ptrdiff_t>(found->size() - i);
            socket_type socket(co_await asio::this_coro::executor);
            const int code = co_await connect(socket, (*found)[i], share);
            if (code == 0) co_return co_await secure(std::move(socket));
            if (code == ECANCELED) co_return std::unexpected(cancelled());
            expired = code == ETIMEDOUT;
            last = std::generic_category().message(code);
        }
        // The name may have moved.
        shared_.addresses.forget(to_.host);
        if (expired && steady::now() >= due_) co_return std::unexpected(timed_out("no answer to the connection attempt"));
        co_return std::unexpected(unavailable(
            failure::connect, fmt::format("cannot connect: {}; does the server run, on this port, and does a firewall "
                                          "let us through?", last)));
    }

  private:
    error unavailable(failure f, std::string_view text) { return make_failure(shared_, to_, f, errc::unavailable, text); }
    error cancelled() { return make_failure(shared_, to_, failure::cancelled, errc::cancelled, "cancelled while connecting"); }
    error timed_out(std::string_view what) {
        if (steady::now() >= whole_) {
            return make_failure(shared_, to_, failure::deadline_passed, errc::timeout,
                                fmt::format("the request's deadline passed while connecting ({})", what));
        }
        return make_failure(shared_, to_, failure::connect_timeout, errc::timeout,
                            fmt::format("connect timeout: {}; is the server reachable?", what));
    }

    /// Addresses of the name; never empty.
    awaitable<result<addresses>> resolve() {
        const std::string& host = to_.host;
        addresses fixed;
        for (const auto& [name, address] : shared_.options.hosts) {
            boost::system::error_code malformed;
            const auto parsed = asio::ip::make_address(address, malformed);
            if (name == host && !malformed) fixed.push_back(parsed);
        }
        if (!fixed.empty()) co_return fixed;
        boost::system::error_code not_address;
        const auto literal = asio::ip::make_address(host, not_address);
        if (!not_address) co_return addresses{literal};
        if (auto known = shared_.addresses.find(host); !known.empty()) co_return known;

        // By a callback, so that a caller that is cancelled need not wait for the name service.
        one_shot<resolved> answer;
        auto resolver = std::make_shared<asio::ip::tcp::resolver>(co_await asio::this_coro::executor);
        // If the context goes instead of calling back: the coroutine, owned by nobody else, is handed to the scheduler.
        // Held by the callback alone, not by this frame.
        std::shared_ptr<void> last(nullptr, [answer](void*) { answer.set(fail(errc::cancelled)); });
        auto take = [answer, resolver, end = std::move(last)](const boost::system::error_code& code, const auto& results) {
            addresses found;
            for (const auto& r : results) {
                const auto address = r.endpoint().address();
                if (found.size() < limits::net_addresses_tried_max && std::ranges::find(found, address) == found.end()) {
                    found.push_back(address);
                }
            }
            answer.set(resolved(code, std::move(found)));
        };
        resolver->async_resolve(host, std::to_string(to_.port), asio::ip::tcp::resolver::numeric_service, std::move(take));
        std::optional<resolved> got;
        const auto outcome = co_await watch_.wait(answer, got, due_);
        if (outcome != waited::ready) resolver->cancel();
        if (outcome == waited::cancelled) co_return std::unexpected(cancelled());
        if (outcome != waited::ready) co_return std::unexpected(timed_out("the name service does not answer"));
        auto& [code, found] = *got;
        if (code || found.empty()) {
            co_return std::unexpected(unavailable(
                failure::resolve, fmt::format("cannot resolve the host name: {}; is it spelled right, and does the name "
                                              "service work?", code ? code.message() : "no address")));
        }
        shared_.addresses.keep(host, found);
        co_return std::move(found);
    }

    /// \returns 0 or errno; ETIMEDOUT and ECANCELED for our own reasons too.
    awaitable<int> connect(socket_type& socket, const asio::ip::address& address, steady::time_point due) {
        const asio::ip::tcp::endpoint to(address, to_.port);
        boost::system::error_code code;
        socket.open(to.protocol(), code);
        if (!code) socket.native_non_blocking(true, code);
        if (!code) socket.set_option(asio::ip::tcp::no_delay(true), code);
        if (code) co_return code.value();
        int failed = ::connect(socket.native_handle(), to.data(), static_cast<socklen_t>(to.size())) == 0 ? 0 : errno;
        if (failed != EINPROGRESS) co_return failed;
        const auto outcome = co_await watch_.wait(socket, socket_type::wait_write, due);
        if (outcome == waited::expired) co_return ETIMEDOUT;
        if (outcome != waited::ready) co_return ECANCELED;
        socklen_t size = sizeof failed;
        if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_ERROR, &failed, &size) != 0) co_return errno;
        co_return failed;
    }

    awaitable<result<std::unique_ptr<transport>>> secure(socket_type socket) {
        if (!to_.tls) {
            shared_.counters.opened.add();
            co_return make_plain_transport(std::move(socket));
        }
        auto out = make_tls_transport(std::move(socket), to_, shared_.tls);
        for (;;) {
            const auto step = out->handshake();
            if (step.status == io_status::ok) break;
            if (step.status == io_status::failed || step.status == io_status::closed) {
                co_return std::unexpected(handshake_failure(*out));
            }
            const auto what = step.status == io_status::want_write ? socket_type::wait_write : socket_type::wait_read;
            const auto outcome = co_await watch_.wait(out->socket(), what, due_);
            if (outcome == waited::expired) co_return std::unexpected(timed_out("the TLS handshake does not end"));
            if (outcome != waited::ready) co_return std::unexpected(cancelled());
        }
        shared_.counters.opened.add();
        co_return std::move(out);
    }

    error handshake_failure(const transport& t) {
        if (t.handshake_failure() == failure::certificate) {
            return unavailable(failure::certificate,
                               fmt::format("the server's TLS certificate is not accepted: {}; check its name and dates, and "
                                           "whether its authority is trusted here", t.handshake_error()));
        }
        return unavailable(failure::tls, fmt::format("TLS handshake failed: {}; does the server speak TLS on this port?",
                                                     t.handshake_error()));
    }

    client_shared& shared_;
    const endpoint& to_;
    watch& watch_;
    const steady::time_point due_;
    const steady::time_point whole_;
};

}  // namespace

awaitable<result<std::unique_ptr<transport>>> open_connection(client_shared& shared, const endpoint& to, watch& w,
                                                              steady::time_point due, steady::time_point whole) {
    connector c(shared, to, w, due, whole);
    co_return co_await c.open();
}

}  // namespace keepstore::net
