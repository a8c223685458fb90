#include "cluster_config/listen_address.hpp"

#include "base/error.hpp"
#include "base/join.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace keepstore::cluster_config {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

std::expected<std::uint16_t, bind_error> port_of(const url& listen_url) {
    if (const std::string text = listen_url.port(); !text.empty()) {
        const auto port = parse_number<std::uint16_t>(text);
        if (!port) return std::unexpected(bind_error{fmt::format("port {}: expected 0 to 65535", text)});
        return *port;
    }
    if (listen_url.is_tls()) return std::uint16_t{443};
    if (listen_url.scheme == "http" || listen_url.scheme == "ws") return std::uint16_t{80};
    return std::unexpected(
        bind_error{fmt::format("no port, and none follows from the scheme \"{}\"", listen_url.scheme)});
}

/// Binds a socket to this address, listens and closes it. \returns 0, or errno. By system calls: Asio's acceptor would
/// be a tenth of what this folder takes to compile.
int try_bind(const tcp::endpoint& endpoint) {
    const unique_fd socket(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!socket) return errno;
    const int on = 1;
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return errno;
    const int off = 0;
    if (endpoint.address().is_v6() && endpoint.address().is_unspecified() &&
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
        return errno;
    if (::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) return errno;
    // Two sockets with SO_REUSEADDR may be bound to one port; only listen() shows that it is taken.
    return ::listen(socket.get(), 1) == 0 ? 0 : errno;
}

}  // namespace

std::expected<std::vector<tcp::endpoint>, bind_error> endpoints_of(const url& listen_url) {
    if (listen_url.scheme != "http" && listen_url.scheme != "ws" && !listen_url.is_tls())
        return std::unexpected(bind_error{fmt::format("scheme \"{}\": expected http or https", listen_url.scheme)});
    KS_TRY(const auto port, port_of(listen_url));

    const std::string name = listen_url.hostname();
    if (name.empty()) return std::vector{tcp::endpoint(tcp::v6(), port), tcp::endpoint(tcp::v4(), port)};
    asio::io_context context;
    boost::system::error_code failure;
    tcp::resolver resolver(context);
    const auto found =
        resolver.resolve(name, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, failure);
    if (failure) return std::unexpected(bind_error{fmt::format("lookup {}: {}", name, failure.message())});
    // IPv4 first, as Go does: a name with both kinds of address usually means the IPv4 one in
    // old configurations.
    std::vector<tcp::endpoint> candidates;
    for (const auto& entry : found)
        if (entry.endpoint().address().is_v4()) candidates.push_back(entry.endpoint());
    for (const auto& entry : found)
        if (entry.endpoint().address().is_v6()) candidates.push_back(entry.endpoint());
    return candidates;
}

std::expected<tcp::endpoint, bind_error> probe_bind(const url& listen_url) {
    KS_TRY(const auto candidates, endpoints_of(listen_url));
    bind_error last{"no address found"};
    for (const auto& candidate : candidates) {
        const int failure = try_bind(candidate);
        if (failure == 0) return candidate;
        last.text = fmt::format("listen tcp {}:{}: bind: {}", candidate.address().to_string(), candidate.port(),
                                std::system_category().message(failure));
        if (failure == EACCES)
            last.text +=
                "; a port below 1024 needs CAP_NET_BIND_SERVICE: choose a higher port and put a load balancer "
                "in front, or add AmbientCapabilities=CAP_NET_BIND_SERVICE, "
                "CapabilityBoundingSet=CAP_NET_BIND_SERVICE and PrivateUsers=no to the unit "
                "(systemctl edit keepstore)";
        last.not_this_host = failure == EADDRNOTAVAIL;
        last.in_use.reset();
        if (failure == EADDRINUSE) last.in_use = candidate;
        // The wildcard is tried as IPv4 only where there is no IPv6; a taken port must not be
        // shadowed by the other family.
        if (listen_url.hostname().empty() && failure != EAFNOSUPPORT && failure != EADDRNOTAVAIL) break;
    }
    return std::unexpected(last);
}

std::expected<listen_address, std::string> choose_listen_address(const cluster_settings& cluster,
                                                                 std::string_view environment_url,
                                                                 const bind_probe& probe) {
    listen_address out;
    const auto use = [&](const url& service, const url& listen) {
        out.service_url = service;
        out.listen_url = listen;
        out.tls = listen.is_tls();
    };
    if (!environment_url.empty()) {
        const auto wanted = parse_url(environment_url);
        if (!wanted || wanted->host.empty())
            return std::unexpected(
                fmt::format("environment variable ARVADOS_SERVICE_INTERNAL_URL: found \"{}\"; expected a URL "
                            "such as http://host.example:25107",
                            environment_url));
        const auto entry = cluster.internal_urls.find(*wanted);
        if (entry == cluster.internal_urls.end()) {
            out.warnings.push_back(
                fmt::format("possible configuration error: listening on {} (from "
                            "$ARVADOS_SERVICE_INTERNAL_URL) even though configuration "
                            "does not have a matching InternalURLs entry",
                            wanted->to_string()));
            use(*wanted, *wanted);
        } else {
            use(*wanted, entry->second.listens_on(*wanted));
        }
        const auto bound = probe(out.listen_url);
        if (!bound)
            return std::unexpected(fmt::format("could not enable the \"keepstore\" service on this host: {}: {}",
                                               out.listen_url.to_string(), bound.error().text));
        out.endpoint = *bound;
        return out;
    }

    std::vector<std::string> errors;
    for (const auto& [service, instance] : cluster.internal_urls) {
        const url& listen = instance.listens_on(service);
        const auto bound = probe(listen);
        if (bound) {
            use(service, listen);
            out.endpoint = *bound;
            return out;
        }
        if (!bound.error().not_this_host)
            errors.push_back(fmt::format("{}: {}", listen.to_string(), bound.error().text));
    }
    if (errors.empty()) return std::unexpected("configuration does not enable the \"keepstore\" service on this host");
    return std::unexpected("could not enable the \"keepstore\" service on this host: " + join(errors, "; "));
}

}  // namespace keepstore::cluster_config
