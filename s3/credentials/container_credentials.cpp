#include "s3/credentials/container_credentials.hpp"

#include "s3/error.hpp"
#include "s3/limits.hpp"

#include <fmt/format.h>
#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <array>

namespace keepstore::s3 {

bool is_trusted_host(const std::string& host) {
    if (host == "localhost") return true;
    boost::system::error_code malformed;
    auto address = asio::ip::make_address(host, malformed);
    if (malformed) return false;
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    }
    if (address.is_loopback()) return true;
    static const std::array agents{asio::ip::make_address("169.254.170.2"), asio::ip::make_address("169.254.170.23"),
                                   asio::ip::make_address("fd00:ec2::23")};
    return std::ranges::find(agents, address) != agents.end();
}

awaitable<result<credentials>> container_keys(std::shared_ptr<const source_context> context, deadline until) {
    const auto& env = context->env;
    std::string address;
    if (const auto relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")) {
        address = context->container_service + *relative;
    } else if (const auto full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        address = *full;
    } else {
        co_return fail(errc::not_found, "no container credentials are configured");
    }
    auto parsed = net::parse_url(address);
    if (!parsed || (!parsed->to.tls && !is_trusted_host(parsed->to.host))) {
        co_return refused("AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to this host");
    }

    net::request ask{.method = "GET", .to = std::move(parsed->to), .target = std::move(parsed->target)};
    std::optional<std::string> token;
    if (const auto file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
        // Read for each fetch: the token in it is replaced every hour.
        auto content = co_await read_small_file(*context->threads, *file, until);
        if (!content) co_return refused(content.error().text);
        token = std::move(*content);
    } else {
        token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    }
    if (token) {
        KS_CO_TRY(auto clean, clean_token(std::move(*token), "the container authorization token"));
        ask.headers.push_back({"authorization", std::move(clean)});
    }
    ask.headers.push_back({"accept", "application/json"});
    ask.timing.connect = limits::metadata_connect_timeout;
    ask.timing.first_byte = limits::metadata_answer_timeout;

    KS_CO_TRY(const auto response, co_await fetch_small(context->http, context->now, std::move(ask), until));
    if (response.status != 200) {
        co_return refused(fmt::format("the container's credential endpoint returned status {}", response.status));
    }
    co_return parse_json_credentials(response.body, "container", true, response.clock_offset);
}

}  // namespace keepstore::s3
