/// What a start decides before it has any effect: the address to listen on, the volumes, the certificate, the clients
/// for other servers. The daemon serves by it and -check reports it, so that neither refuses what the other accepts.
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/listen_address.hpp"
#include "net/client/http_client.hpp"
#include "net/tls/tls_server_context.hpp"
#include "protocol/host_rules.hpp"
#include "volumes/factory.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::reports {

struct start_plan {
    /// What would keep the daemon from starting: lines for the operator, in the order of the steps. Empty: the rest is
    /// complete.
    std::vector<std::string> problems = {};

    std::vector<std::string> warnings = {};

    std::optional<cluster_config::listen_address> where = {};
    std::vector<volumes::volume_plan> volumes = {};
    std::shared_ptr<net::tls_server_context> tls = {};  ///< nullptr if the listen URL has no TLS.
    protocol::host_rules pull_hosts = {};
    std::optional<net::client> pull_client = {};
    std::optional<net::client> remote_client = {};
    std::optional<net::client> insecure_client = {};  ///< For clusters whose certificates are not verified.
};

struct start_context {
    std::string_view service_internal_url;  ///< Of the environment, or empty.
    cluster_config::bind_probe probe = cluster_config::probe_bind;
    /// Is called with the name of each step that may take long: "checking volume X".
    std::function<void(std::string)> step = [](const std::string&) {};
};

/// Reads files and tries to bind, so it may block; changes nothing. After a problem the steps go on that do not need
/// what is missing.
[[nodiscard]] start_plan plan_start(const cluster_config::config&, const start_context&);

}  // namespace keepstore::reports
