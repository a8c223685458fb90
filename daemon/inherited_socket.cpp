#include "daemon/inherited_socket.hpp"

#include "base/error.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace keepstore::daemon {
namespace {

using boost::asio::ip::tcp;
using cluster_config::bind_error;

std::string text_of(const tcp::endpoint& where) {
    const auto address = where.address().to_string();
    return fmt::format("{}:{}", where.address().is_v6() ? "[" + address + "]" : address, where.port());
}

// Whether connections to `wanted` arrive at a socket that is bound to `bound`.
bool covers(const tcp::endpoint& bound, const tcp::endpoint& wanted) {
    return bound == wanted || (bound.port() == wanted.port() && bound.address().is_unspecified() &&
                               (bound.address().is_v6() || wanted.address().is_v4()));
}

bool is_listening_tcp(int fd) {
    return ::sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) > 0 || ::sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) > 0;
}

}  // namespace

std::expected<inherited_socket, std::string> inherited_socket::take() {
    inherited_socket out;
    const int count = ::sd_listen_fds(1);
    if (count < 0)
        return std::unexpected(fmt::format("the sockets of LISTEN_FDS cannot be used: {}; the service manager sets it",
                                           std::generic_category().message(-count)));
    if (count == 0) return out;
    // Connections to a second one would wait for ever.
    if (count > 1)
        return std::unexpected(
            fmt::format("the service manager passed {} sockets (LISTEN_FDS); expected one: leave one ListenStream= in "
                        "keepstore.socket",
                        count));
    out.fd_ = unique_fd(SD_LISTEN_FDS_START);
    auto size = static_cast<socklen_t>(out.where_.capacity());
    if (!is_listening_tcp(out.fd_.get()) || ::getsockname(out.fd_.get(), out.where_.data(), &size) != 0)
        return std::unexpected(
            "the descriptor that the service manager passed (LISTEN_FDS) is not a listening TCP socket; expected "
            "ListenStream=ADDRESS:PORT and Accept=no in keepstore.socket");
    out.where_.resize(size);
    return out;
}

cluster_config::bind_probe inherited_socket::probe() const {
    if (!fd_) return cluster_config::probe_bind;
    return [this](const cluster_config::url& listen_url) -> std::expected<tcp::endpoint, bind_error> {
        KS_TRY(const auto wanted, cluster_config::endpoints_of(listen_url));
        if (std::ranges::any_of(wanted, [&](const tcp::endpoint& w) { return covers(where_, w); })) return where_;
        return std::unexpected(
            bind_error{fmt::format("the service manager passed a socket for {} (LISTEN_FDS); expected ListenStream= of "
                                   "keepstore.socket to name this address",
                                   text_of(where_))});
    };
}

}  // namespace keepstore::daemon
