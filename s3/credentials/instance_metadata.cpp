#include "s3/credentials/instance_metadata.hpp"

#include "net/http/text.hpp"
#include "s3/error.hpp"
#include "s3/limits.hpp"
#include "s3/sigv4.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::s3 {
namespace {

constexpr std::string_view roles_path = "/latest/meta-data/iam/security-credentials/";

net::phase_limits metadata_limits() {
    return {.connect = limits::metadata_connect_timeout,
            .first_byte = limits::metadata_answer_timeout,
            .progress = limits::metadata_answer_timeout};
}

std::string service_address(const environment& env) {
    if (auto given = env("AWS_EC2_METADATA_SERVICE_ENDPOINT")) return std::move(*given);
    const auto mode = lower_case(env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").value_or(""));
    return mode == "ipv6" ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
}

// Awaited in place.
awaitable<result<small_response>> get_metadata(const source_context& context, net::endpoint to, std::string path,
                                               std::string token, deadline until) {
    net::request ask{.method = "GET", .to = std::move(to), .target = std::move(path)};
    ask.headers.push_back({"x-aws-ec2-metadata-token", std::move(token)});
    ask.timing = metadata_limits();
    co_return co_await fetch_small(context.http, context.now, std::move(ask), until);
}

}  // namespace

awaitable<result<credentials>> instance_role_keys(std::shared_ptr<const source_context> context, std::string role,
                                                  deadline until) {
    if (lower_case(context->env("AWS_EC2_METADATA_DISABLED").value_or("")) == "true") {
        co_return fail(errc::not_found, "instance metadata is disabled by AWS_EC2_METADATA_DISABLED");
    }
    const auto base = net::parse_url(service_address(context->env));
    if (!base) co_return refused("AWS_EC2_METADATA_SERVICE_ENDPOINT is not an http URL");

    // PUT /latest/api/token  with the lifetime in seconds; the body of the response is the token.
    net::request ask{.method = "PUT", .to = base->to, .target = "/latest/api/token"};
    ask.headers.push_back(
        {"x-aws-ec2-metadata-token-ttl-seconds", fmt::format("{}", limits::metadata_token_lifetime.count())});
    ask.timing = metadata_limits();
    const auto response = co_await fetch_small(context->http, context->now, std::move(ask), until);
    if (!response) {
        if (response.error() == errc::cancelled) co_return std::unexpected(response.error());
        // Packets of version 2 have a hop limit of one by default, so in a container the response never arrives.
        co_return refused(
            "the instance metadata service does not respond (in a container on EC2, raise the hop limit of the "
            "instance's metadata options to 2; elsewhere, configure keys)");
    }
    if (response->status != 200) {
        co_return refused(fmt::format("the instance metadata service refuses a version 2 session token (status {})",
                                      response->status));
    }
    KS_CO_TRY(const auto token, clean_token(response->body, "the metadata token"));

    if (role.empty()) {
        KS_CO_TRY(const auto roles, co_await get_metadata(*context, base->to, std::string(roles_path), token, until));
        if (roles.status == 404) co_return refused("no role is attached to this instance");
        if (roles.status != 200) {
            co_return refused(
                fmt::format("the instance metadata service returned status {} for the list of roles", roles.status));
        }
        role = roles.body.substr(0, roles.body.find_first_of("\r\n"));
        if (role.empty()) co_return refused("no role is attached to this instance");
    }
    KS_CO_TRY(const auto keys,
              co_await get_metadata(*context, base->to, std::string(roles_path) + uri_encode(role, encode_slash::yes),
                                    token, until));
    if (keys.status == 404) co_return refused(fmt::format("this instance does not have the role {}", role));
    if (keys.status != 200) {
        co_return refused(
            fmt::format("the instance metadata service returned status {} for role {}", keys.status, role));
    }
    co_return parse_json_credentials(keys.body, "instance role " + role, true, keys.clock_offset);
}

}  // namespace keepstore::s3
