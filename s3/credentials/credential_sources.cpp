#include "s3/credentials/credential_sources.hpp"

#include "s3/credentials/container_credentials.hpp"
#include "s3/credentials/instance_metadata.hpp"
#include "s3/credentials/profile_source.hpp"
#include "s3/credentials/sts.hpp"
#include "s3/error.hpp"

namespace keepstore::s3 {

awaitable<result<credentials>> static_source::fetch(deadline) {
    co_return credentials{.keys = keys_, .expires_at = std::nullopt, .source = origin_};
}

awaitable<result<credentials>> environment_source::fetch(deadline) {
    auto id = env_("AWS_ACCESS_KEY_ID");
    auto secret = env_("AWS_SECRET_ACCESS_KEY");
    if (!id && !secret) co_return fail(errc::not_found, "no keys in the environment");
    if (!id || !secret) {
        co_return std::unexpected(
            make_error(error_kind::bad_credentials, "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set"));
    }
    credentials out;
    out.keys = {std::move(*id), secret_string(std::move(*secret)),
                secret_string(env_("AWS_SESSION_TOKEN").value_or(""))};
    out.source = "environment";
    co_return out;
}

awaitable<result<credentials>> chain_source::fetch(deadline until) {
    for (const auto& source : sources_) {
        auto found = co_await source->fetch(until);
        if (found || found.error() != errc::not_found) co_return found;
    }
    // Not by make_error, whose advice is about wrong keys.
    co_return std::unexpected(error(
        to_errc(error_kind::bad_credentials),
        "no credentials in the configuration, the environment, ~/.aws, a container endpoint or an instance role: set "
        "AccessKeyID and SecretAccessKey, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.",
        make_error_code(error_kind::bad_credentials)));
}

result<std::shared_ptr<credentials_cache>> make_credentials(credentials_config config) {
    if (config.access_key_id.empty() != config.secret_access_key.empty()) {
        return fail(errc::bad_request, "AccessKeyID and SecretAccessKey belong together: one of them is empty");
    }
    const auto now = config.now;
    if (!config.access_key_id.empty()) {
        auto keys = signing_keys{config.access_key_id, config.secret_access_key, secret_string()};
        auto source = std::make_unique<static_source>(std::move(keys), std::move(config.keys_origin));
        return std::make_shared<credentials_cache>(std::move(source), now);
    }
    KS_TRY(auto http, net::client::make({.ca_file = config.ca_file}));
    KS_TRY(auto sts, net::client::make({.ca_file = config.ca_file, .proxies = std::move(config.proxies)}));
    auto threads = std::make_unique<blocking_pool>(
        blocking_pool::options{.name = "credentials", .threads_max = 2, .queue_max = 16});
    const auto context =
        std::make_shared<const source_context>(source_context{.env = std::move(config.env),
                                                              .region = std::move(config.region),
                                                              .now = now,
                                                              .container_service = std::move(config.container_service),
                                                              .http = std::move(http),
                                                              .sts = std::move(sts),
                                                              .threads = std::move(threads)});
    if (!config.iam_role.empty()) {
        auto source = std::make_unique<instance_metadata_source>(context, std::move(config.iam_role));
        return std::make_shared<credentials_cache>(std::move(source), now);
    }
    std::vector<std::unique_ptr<credentials_source>> sources;
    sources.push_back(std::make_unique<environment_source>(context->env));
    sources.push_back(std::make_unique<web_identity_source>(context));
    sources.push_back(std::make_unique<profile_source>(context));
    sources.push_back(std::make_unique<container_source>(context));
    sources.push_back(std::make_unique<instance_metadata_source>(context, ""));
    return std::make_shared<credentials_cache>(std::make_unique<chain_source>(std::move(sources)), now);
}

}  // namespace keepstore::s3
