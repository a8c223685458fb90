#include "s3/credentials/credential_sources.hpp"

#include "s3/credentials/container_credentials.hpp"
#include "s3/credentials/instance_metadata.hpp"
#include "s3/credentials/profile_source.hpp"
#include "s3/credentials/sts.hpp"
#include "s3/error.hpp"

namespace keepstore::s3 {

namespace {

/// Returns the keys of an instance role.
class role_source final : public credentials_source {
  public:
    role_source(std::shared_ptr<const source_context> context, std::string role)
        : context_(std::move(context)), role_(std::move(role)) {}
    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override {
        return instance_role_keys(context_, role_, until);
    }

  private:
    const std::shared_ptr<const source_context> context_;
    const std::string role_;
};

/// Returns the keys of the first source that is configured.
class chain_source final : public credentials_source {
  public:
    explicit chain_source(std::shared_ptr<const source_context> context)
        : context_(std::move(context)), profile_(context_) {}
    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override {
        auto found = environment_keys(context_->env);
        if (is_missing(found)) found = co_await web_identity_keys(context_, until);
        if (is_missing(found)) found = co_await profile_.fetch(until);
        if (is_missing(found)) found = co_await container_keys(context_, until);
        if (is_missing(found)) found = co_await instance_role_keys(context_, "", until);
        if (!is_missing(found)) co_return found;
        // Not by make_error, whose advice is about wrong keys.
        co_return std::unexpected(
            error(to_errc(error_kind::bad_credentials),
                  "no credentials in the configuration, the environment, ~/.aws, a container endpoint or an instance "
                  "role: set AccessKeyID and SecretAccessKey, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give "
                  "the machine a role.",
                  make_error_code(error_kind::bad_credentials)));
    }

  private:
    static bool is_missing(const result<credentials>& found) { return !found && found.error() == errc::not_found; }

    const std::shared_ptr<const source_context> context_;
    profile_source profile_;
};

}  // namespace

result<credentials> environment_keys(const environment& env) {
    auto id = env("AWS_ACCESS_KEY_ID");
    auto secret = env("AWS_SECRET_ACCESS_KEY");
    if (!id && !secret) return fail(errc::not_found, "no keys in the environment");
    if (!id || !secret) {
        return refused("only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set");
    }
    credentials out;
    out.keys = {std::move(*id), secret_string(std::move(*secret)),
                secret_string(env("AWS_SESSION_TOKEN").value_or(""))};
    out.source = "environment";
    return out;
}

result<std::shared_ptr<credentials_cache>> make_credentials(credentials_config config) {
    if (config.access_key_id.empty() != config.secret_access_key.empty()) {
        return fail(errc::bad_request, "AccessKeyID and SecretAccessKey belong together: one of them is empty");
    }
    const auto now = config.now;
    if (!config.access_key_id.empty()) {
        return std::make_shared<credentials_cache>(
            credentials{.keys = {config.access_key_id, config.secret_access_key, secret_string()},
                        .expires_at = std::nullopt,
                        .source = std::move(config.keys_origin)});
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
        auto source = std::make_unique<role_source>(context, std::move(config.iam_role));
        return std::make_shared<credentials_cache>(std::move(source), now);
    }
    return std::make_shared<credentials_cache>(std::make_unique<chain_source>(context), now);
}

}  // namespace keepstore::s3
