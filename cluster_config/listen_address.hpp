/// The configured service that this host is, and its listen address (docs/interface.md 1.5). Tries to bind, and closes
/// again.
#pragma once

#include "cluster_config/config.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cluster_config {

struct listen_address {
    url service_url;  ///< The key of InternalURLs, which AccessViaHosts names; or the environment's URL.
    url listen_url;   ///< Field URL of the "listening" log line. Its scheme decides about TLS.
    /// The endpoint bound in the test. An unspecified IPv6 address stands for "every address": clear IPV6_V6ONLY then.
    boost::asio::ip::tcp::endpoint endpoint;
    bool tls = false;
    std::vector<std::string> warnings;
};

/// The endpoint that a listener for `listen_url` can be bound to now. A port that is not given follows from the scheme
/// (http, ws: 80; https, wss: 443); 0 leaves the choice to the system. `not_this_host`: the address belongs to another
/// host.
struct bind_error {
    std::string text;
    bool not_this_host = false;
    /// The endpoint, if another socket listens on it.
    std::optional<boost::asio::ip::tcp::endpoint> in_use = {};
};
using bind_probe = std::function<std::expected<boost::asio::ip::tcp::endpoint, bind_error>(const url& listen_url)>;

/// The endpoints that `listen_url` may mean, the preferred one first. Blocks while a name is being resolved.
[[nodiscard]] std::expected<std::vector<boost::asio::ip::tcp::endpoint>, bind_error> endpoints_of(
    const url& listen_url);

/// Resolves the name and binds, with SO_REUSEADDR. Blocks while a name is being resolved.
[[nodiscard]] std::expected<boost::asio::ip::tcp::endpoint, bind_error> probe_bind(const url& listen_url);

/// `environment_url` is ARVADOS_SERVICE_INTERNAL_URL, or empty. Entries are tried in the order of their URLs; the first
/// that can be bound wins. \returns one line for the operator if there is none.
[[nodiscard]] std::expected<listen_address, std::string> choose_listen_address(const cluster_settings&,
                                                                               std::string_view environment_url,
                                                                               const bind_probe& probe = probe_bind);

}  // namespace keepstore::cluster_config
