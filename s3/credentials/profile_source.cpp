#include "s3/credentials/profile_source.hpp"

#include "base/log.hpp"
#include "s3/credentials/container_credentials.hpp"
#include "s3/credentials/credential_sources.hpp"
#include "s3/credentials/instance_metadata.hpp"
#include "s3/credentials/run_process.hpp"
#include "s3/credentials/sts.hpp"
#include "s3/error.hpp"
#include "s3/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::s3 {
namespace {

std::string setting(const profile_settings& settings, const std::string& name) {
    const auto found = settings.find(name);
    return found == settings.end() ? std::string() : found->second;
}

std::optional<credentials> keys_in(const profile_settings& settings, const std::string& name) {
    credentials out;
    out.keys.access_key_id = setting(settings, "aws_access_key_id");
    out.keys.secret_access_key = secret_string(setting(settings, "aws_secret_access_key"));
    out.keys.session_token = secret_string(setting(settings, "aws_session_token"));
    if (out.keys.access_key_id.empty() || out.keys.secret_access_key.empty()) return std::nullopt;
    out.source = "profile " + name;
    return out;
}

}  // namespace

awaitable<result<credentials>> profile_source::fetch(deadline until) {
    KS_CO_TRY(const auto all, co_await read_files(until));
    const auto wanted = context_->env("AWS_PROFILE");
    auto name = wanted.value_or("default");
    if (!all.contains(name)) {
        if (wanted) co_return refused(fmt::format("there is no profile {} (AWS_PROFILE) in the shared files", name));
        co_return fail(errc::not_found, "no default profile");
    }
    co_return co_await resolve(all, std::move(name), {}, until);
}

awaitable<result<profiles>> profile_source::read_files(deadline until) {
    const auto home = context_->env("HOME");
    profiles both[2];
    const char* const variables[] = {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"};
    const char* const names[] = {"/.aws/config", "/.aws/credentials"};
    const bool profile_named = context_->env("AWS_PROFILE").has_value();
    for (std::size_t i = 0; i < 2; ++i) {
        auto path = context_->env(variables[i]);
        const bool wanted = path || profile_named;
        if (!path && home) path = *home + names[i];
        if (!path) continue;
        const auto text = co_await read_small_file(*context_->threads, *path, until);
        if (text) {
            both[i] = parse_profiles(*text, i == 0 ? profile_file::config : profile_file::credentials);
            continue;
        }
        if (text.error() == errc::not_found) continue;
        if (wanted || kind_of(text.error()) != error_kind::bad_credentials) co_return std::unexpected(text.error());
        if (!std::exchange(warned_[i], true)) {
            log::warning("ignoring an AWS configuration file that cannot be read", {{"error", text.error().text}});
        }
    }
    co_return merge_profiles(std::move(both[0]), both[1]);
}

// The order inside a profile is that of AWS's SDK for Go, which the Go daemon uses: a profile that is its own source,
// directly or through others, gives its keys without its role.
awaitable<result<credentials>> profile_source::resolve(const profiles& all, std::string name,
                                                       std::vector<std::string> above, deadline until) {
    if (above.size() > limits::credentials_profile_depth_max) {
        co_return refused(fmt::format("the chain of source_profile is too long at {}", name));
    }
    const auto found = all.find(name);
    if (found == all.end()) co_return refused(fmt::format("there is no profile {} in the shared files", name));
    const bool again = std::ranges::find(above, name) != above.end();
    if (!again && found->second.contains("role_arn")) {
        co_return co_await role_keys(all, std::move(name), std::move(above), until);
    }
    auto own = co_await own_keys(found->second, name, until);
    if (own || own.error() != errc::not_found || above.empty()) co_return own;
    if (again)
        co_return refused(fmt::format("source_profile of {} refers back to it, and it has no keys of its own", name));
    co_return refused(fmt::format("profile {} has no keys", name));
}

awaitable<result<credentials>> profile_source::own_keys(const profile_settings& settings, std::string name,
                                                        deadline until) {
    if (auto keys = keys_in(settings, name)) co_return std::move(*keys);
    if (settings.contains("sso_session") || settings.contains("sso_start_url")) {
        co_return refused(fmt::format(
            "profile {0} needs an interactive sign-on (SSO); use credential_process = aws configure export-credentials "
            "--profile {0} --format process in another profile",
            name));
    }
    if (auto command = setting(settings, "credential_process"); !command.empty()) {
        co_return co_await run_command(std::move(command), "credential_process of profile " + name, until);
    }
    co_return fail(errc::not_found, "the profile has no keys");
}

awaitable<result<credentials>> profile_source::role_keys(const profiles& all, std::string name,
                                                         std::vector<std::string> above, deadline until) {
    const auto& settings = all.at(name);
    role_request role{.role_arn = setting(settings, "role_arn"),
                      .session_name = setting(settings, "role_session_name"),
                      .external_id = setting(settings, "external_id"),
                      .duration = setting(settings, "duration_seconds"),
                      .region = setting(settings, "region")};
    if (settings.contains("mfa_serial"))
        co_return refused(fmt::format("profile {} needs an MFA code (mfa_serial)", name));

    auto file = setting(settings, "web_identity_token_file");
    const bool other_source = !setting(settings, "source_profile").empty() || keys_in(settings, name) ||
                              !setting(settings, "credential_source").empty();
    if (!file.empty() && !other_source) {
        co_return co_await assume_role_with_web_identity(context_, std::move(role), std::move(file), until);
    }
    const auto base = co_await base_keys(all, name, std::move(above), until);
    if (!base) {
        if (base.error() == errc::not_found)
            co_return refused(fmt::format("the source of profile {} has no keys", name));
        co_return base;
    }
    co_return co_await assume_role(context_, std::move(role), base->keys, until);
}

awaitable<result<credentials>> profile_source::base_keys(const profiles& all, std::string name,
                                                         std::vector<std::string> above, deadline until) {
    const auto& settings = all.at(name);
    // For a source profile its own keys come before its source; for the requested profile they come after it.
    if (!above.empty()) {
        if (auto keys = keys_in(settings, name)) co_return std::move(*keys);
    }
    if (auto source = setting(settings, "source_profile"); !source.empty()) {
        above.push_back(std::move(name));
        co_return co_await resolve(all, std::move(source), std::move(above), until);
    }
    if (auto keys = keys_in(settings, name)) co_return std::move(*keys);
    if (const auto origin = setting(settings, "credential_source"); origin == "Environment") {
        co_return environment_keys(context_->env);
    } else if (origin == "Ec2InstanceMetadata") {
        co_return co_await instance_role_keys(context_, "", until);
    } else if (origin == "EcsContainer") {
        co_return co_await container_keys(context_, until);
    } else if (!origin.empty()) {
        co_return refused(fmt::format(
            "credential_source of profile {} is none of Environment, Ec2InstanceMetadata, EcsContainer", name));
    }
    auto found = co_await own_keys(settings, name, until);
    if (found || found.error() != errc::not_found) co_return found;
    // Without any source of keys: the container, then the instance.
    found = co_await container_keys(context_, until);
    if (found || found.error() != errc::not_found) co_return found;
    found = co_await instance_role_keys(context_, "", until);
    if (found || found.error() == errc::cancelled) co_return found;
    co_return refused(fmt::format(
        "profile {} has a role_arn and no keys, no source_profile, no credential_source, no web identity; {}", name,
        found.error().text));
}

awaitable<result<credentials>> profile_source::run_command(std::string command, std::string source, deadline until) {
    auto call = [command = std::move(command), until] {
        return run_process(command, limits::credentials_bytes_max, until);
    };
    const auto output = co_await context_->threads->run(std::move(call), until);
    if (!output) {
        if (output.error() == errc::cancelled) co_return std::unexpected(output.error());
        co_return refused(fmt::format("{}: {}", source, output.error().text));
    }
    // {"Version": 1, "AccessKeyId": ..., "SecretAccessKey": ..., "SessionToken": ..., "Expiration": ...}
    co_return parse_json_credentials(*output, std::move(source), false);
}

}  // namespace keepstore::s3
