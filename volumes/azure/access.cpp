#include "volumes/azure/access.hpp"

#include "azure/blob_address.hpp"
#include "azure/credentials/credentials.hpp"
#include "volumes/limits.hpp"

#include <utility>

namespace keepstore::volumes::azure {

result<container_access> make_access(const azure_options& options) {
    KS_TRY(auto proxies, net::proxy_rules::from_environment(options.env));
    keepstore::azure::credentials_config config{.account_key = options.account_key,
                                                .sas = options.shared_access_signature,
                                                .identity = {.client_id = options.identity_client_id}};
    KS_TRY(auto keys, keepstore::azure::make_authorization(config));
    keepstore::azure::client_options client;
    client.account = options.account;
    client.container = options.container;
    client.endpoint = options.endpoint;
    client.suffix = options.base_url;
    client.connect_timeout = options.connect_timeout;
    client.read_timeout = options.request_timeout;
    client.connections_max = options.connections_max;
    // A streamed PUT cannot be sent again: the service says first whether it takes it now.
    client.expect_continue_bytes_min = limits::write_at_once_bytes_max + 1;
    client.ca_file = options.ca_file;
    client.proxies = std::move(proxies);
    client.list_retry_delay = options.list_retry_delay;
    client.list_attempts_max = options.list_attempts_max;
    return container_access{.client = std::move(client), .keys = std::move(keys)};
}

result<std::string> proxy_of(const azure_options& options) {
    KS_TRY(const auto proxies, net::proxy_rules::from_environment(options.env));
    const auto address = keepstore::azure::make_blob_address({.endpoint = options.endpoint,
                                                              .suffix = options.base_url,
                                                              .account = options.account,
                                                              .container = options.container});
    // What is wrong with the address is reported where it is used.
    const auto* const via = address ? proxies.find(address->to) : nullptr;
    return via ? net::to_string(via->to) : std::string();
}

}  // namespace keepstore::volumes::azure
