/// How a volume reaches its container: the options of the Azure client, made from the volume's options. The volume and
/// the operator's probe both use it, so that the probe's result holds for the volume.
#pragma once

#include "azure/client.hpp"
#include "volumes/azure/azure_volume.hpp"

#include <string>

namespace keepstore::volumes::azure {

struct container_access {
    keepstore::azure::client_options client;
    keepstore::azure::authorization keys;
};

/// Reads the proxies of the environment (net/client/proxy.hpp). \returns errc::bad_request, in plain words and without
/// secrets, for options or variables that cannot work.
[[nodiscard]] result<container_access> make_access(const azure_options& options);

/// Returns the proxy that leads to the container, "http://host:port" without its password; empty if there is none.
/// errc::bad_request, naming the variable, for one that cannot be used.
[[nodiscard]] result<std::string> proxy_of(const azure_options& options);

}  // namespace keepstore::volumes::azure
