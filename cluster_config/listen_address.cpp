#include "cluster_config/listen_address.hpp"

#include "base/error.hpp"
#include "base/join.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include <cerrno>
#include <cstdint>

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

boost::system::error_code try_bind(asio::io_context& context, const tcp::endpoint& endpoint) {
    boost::system::error_code failure;
    tcp::acceptor acceptor(context);
    acceptor.open(endpoint.protocol(), failure);
    if (failure) return failure;
    acceptor.set_option(tcp::acceptor::reuse_address(true), failure);
    if (!failure && endpoint.address().is_v6() && endpoint.address().is_unspecified())
        acceptor.set_option(asio::ip::v6_only(false), failure);
    if (!failure) acceptor.bind(endpoint, failure);
    // Two sockets with SO_REUSEADDR may be bound to one port; only listen() shows that it is taken.
    if (!failure) acceptor.listen(1, failure);
    return failure;
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
    asio::io_context context;
    bind_error last{"no address found"};
    for (const auto& candidate : candidates) {
        const auto failure = try_bind(context, candidate);
        if (!failure) return candidate;
        last.text = fmt::format("listen tcp {}:{}: bind: {}", candidate.address().to_string(), candidate.port(),
                                failure.message());
        if (failure.value() == EACCES)
            last.text +=
                "; a port below 1024 needs CAP_NET_BIND_SERVICE: choose a higher port and put a load balancer in "
                "front, "
                "or add AmbientCapabilities=CAP_NET_BIND_SERVICE, CapabilityBoundingSet=CAP_NET_BIND_SERVICE and "
                "PrivateUsers=no to the unit (systemctl edit keepstore)";
        last.not_this_host = failure.value() == EADDRNOTAVAIL;
        last.in_use.reset();
        if (failure.value() == EADDRINUSE) last.in_use = candidate;
        // The wildcard is tried as IPv4 only where there is no IPv6; a taken port must not be
        // shadowed by the other family.
        if (listen_url.hostname().empty() && failure.value() != EAFNOSUPPORT && failure.value() != EADDRNOTAVAIL) break;
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
