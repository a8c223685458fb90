#include "azure/client.hpp"

#include "azure/client_core.hpp"

#include <boost/asio/ip/address.hpp>

#include <variant>

namespace keepstore::azure {
namespace {

/// Whether requests to this server stay on this host.
bool is_loopback(const net::endpoint& to) {
    boost::system::error_code failed;
    const auto address = boost::asio::ip::make_address(to.host, failed);
    return !failed && address.is_loopback();
}

}  // namespace

client::client(std::shared_ptr<client_core> core) noexcept : core_(std::move(core)) {}

result<client> client::make(client_options options, authorization how) {
    KS_TRY(auto address, make_blob_address({.endpoint = options.endpoint,
                                            .suffix = options.suffix,
                                            .account = options.account,
                                            .container = options.container}));
    // Such a token opens every account that the identity may use, for hours.
    if (std::holds_alternative<token_cache>(how) && !address.to.tls && !is_loopback(address.to)) {
        return fail(errc::bad_request, "a token of a managed identity is sent by https only: change the endpoint");
    }
    KS_TRY(auto http, cloud::make_http(options));
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
