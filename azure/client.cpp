#include "azure/client.hpp"

#include "azure/client_core.hpp"

namespace keepstore::azure {

client::client(std::shared_ptr<client_core> core) noexcept : core_(std::move(core)) {}

result<client> client::make(client_options options, authorization how) {
    KS_TRY(auto address, make_blob_address({.endpoint = options.endpoint,
                                            .suffix = options.suffix,
                                            .account = options.account,
                                            .container = options.container}));
    KS_TRY(auto http, net::client::make({.connections_max = options.connections_max,
                                         .ca_file = options.ca_file,
                                         .tls_insecure = options.tls_insecure,
                                         .proxies = options.proxies,
                                         .hosts = options.hosts}));
    return client(
        std::make_shared<client_core>(std::move(options), std::move(how), std::move(address), std::move(http)));
}

const op_stats& client::stats() const noexcept {
    return core_->stats();
}

std::chrono::seconds client::clock_skew() const {
    return std::chrono::duration_cast<std::chrono::seconds>(core_->skew());
}

}  // namespace keepstore::azure
