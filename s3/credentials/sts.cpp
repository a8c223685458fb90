#include "s3/credentials/sts.hpp"

#include "base/hex.hpp"
#include "s3/error.hpp"
#include "s3/limits.hpp"
#include "s3/sigv4.hpp"
#include "s3/xml.hpp"

#include <fmt/format.h>

namespace keepstore::s3 {
namespace {

name_values form_of(std::string_view action, const role_request& role, const wall_clock& now) {
    auto session = role.session_name;
    if (session.empty()) {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(now()).time_since_epoch();
        session = fmt::format("keepstore-{}", seconds.count());
    }
    name_values form{{"Action", std::string(action)},
                     {"RoleArn", role.role_arn},
                     {"RoleSessionName", std::move(session)},
                     {"Version", "2011-06-15"}};
    if (!role.external_id.empty()) form.emplace_back("ExternalId", role.external_id);
    if (!role.duration.empty()) form.emplace_back("DurationSeconds", role.duration);
    return form;
}

// POST /
// content-type: application/x-www-form-urlencoded
//
// Action=AssumeRole&RoleArn=...&RoleSessionName=...&Version=2011-06-15
net::request sts_request(const net::url& where, const std::string& body, const std::string& region,
                         const std::optional<signing_keys>& keys,
                         std::chrono::sys_time<std::chrono::milliseconds> now) {
    name_values headers{{"host", net::host_header(where.to)},
                        {"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
    if (keys) {
        signer sts_signer("sts");
        sts_signer.sign("POST", where.target, "", headers, to_hex(sha256(body)), region, *keys,
                        std::chrono::floor<std::chrono::seconds>(now));
    }
    net::request ask{.method = "POST", .to = where.to, .target = where.target};
    for (auto& [name, value] : headers) ask.headers.push_back({std::move(name), std::move(value)});
    ask.body.push_back(copy_to_heap_slice(std::as_bytes(std::span(body))));
    ask.idempotent = true;  // A repeated request only makes another set of keys.
    return ask;
}

awaitable<result<credentials>> ask_sts(std::shared_ptr<const source_context> context, name_values form,
                                       std::string region, std::string source, std::optional<signing_keys> keys,
                                       deadline until) {
    auto where = net::parse_url(sts_address(context->env, region));
    if (!where) co_return refused("the URL of STS is malformed");
    const auto body = canonical_query(form);
    auto ask = sts_request(*where, body, region, keys, context->now());
    auto response = co_await fetch_small(context->sts, context->now, std::move(ask), until);
    if (response && response->status != 200 && keys &&
        std::chrono::abs(response->clock_offset) >= limits::cloud_clock_skew_tolerated) {
        // Our clock is wrong, and the signature contains the time: signs by the clock of STS.
        ask = sts_request(*where, body, region, keys, context->now() + response->clock_offset);
        response = co_await fetch_small(context->sts, context->now, std::move(ask), until);
    }
    if (!response) co_return std::unexpected(std::move(response.error()));
    if (response->status != 200) {
        const auto found = parse_error_document(response->body);
        const auto kind = found ? classify(response->status, found->code) : classify(response->status, {});
        co_return std::unexpected(make_error(kind, fmt::format("{}: STS returned {} {}", source, response->status,
                                                               found ? found->code : std::string("without a code"))));
    }
    KS_CO_TRY(auto got, parse_sts_credentials(response->body));
    credentials out;
    out.keys = {std::move(got.access_key_id), secret_string(std::move(got.secret_access_key)),
                secret_string(std::move(got.session_token))};
    out.expires_at = got.expiration;
    out.clock_offset = response->clock_offset;
    out.source = std::move(source);
    co_return out;
}

}  // namespace

std::string sts_region(const environment& env, const std::string& of_role, const std::string& of_volume) {
    if (!of_role.empty()) return of_role;
    if (auto given = env("AWS_REGION")) return std::move(*given);
    if (auto given = env("AWS_DEFAULT_REGION")) return std::move(*given);
    return of_volume.empty() ? "us-east-1" : of_volume;
}

std::string sts_address(const environment& env, std::string_view region) {
    if (auto given = env("AWS_ENDPOINT_URL_STS")) return std::move(*given);
    if (auto given = env("AWS_ENDPOINT_URL")) return std::move(*given);
    return fmt::format("https://sts.{}.{}", region, aws_domain(region));
}

std::string_view aws_domain(std::string_view region) noexcept {
    if (region.starts_with("cn-")) return "amazonaws.com.cn";
    if (region.starts_with("us-isob-")) return "sc2s.sgov.gov";
    if (region.starts_with("us-iso-")) return "c2s.ic.gov";
    if (region.starts_with("us-isof-")) return "csp.hci.ic.gov";
    if (region.starts_with("eu-isoe-")) return "cloud.adc-e.uk";
    if (region.starts_with("eusc-")) return "amazonaws.eu";
    return "amazonaws.com";
}

awaitable<result<credentials>> assume_role(std::shared_ptr<const source_context> context, role_request role,
                                           signing_keys keys, deadline until) {
    auto region = sts_region(context->env, role.region, context->region);
    auto form = form_of("AssumeRole", role, context->now);
    auto source = "role " + role.role_arn;
    co_return co_await ask_sts(std::move(context), std::move(form), std::move(region), std::move(source),
                               std::move(keys), until);
}

awaitable<result<credentials>> assume_role_with_web_identity(std::shared_ptr<const source_context> context,
                                                             role_request role, std::string token_file,
                                                             deadline until) {
    auto content = co_await read_small_file(*context->threads, std::move(token_file), until);
    if (!content) co_return refused(content.error().text);
    KS_CO_TRY(auto token, clean_token(std::move(*content), "the web identity token"));
    auto region = sts_region(context->env, role.region, context->region);
    auto form = form_of("AssumeRoleWithWebIdentity", role, context->now);
    form.emplace_back("WebIdentityToken", std::move(token));
    auto source = "web identity role " + role.role_arn;
    co_return co_await ask_sts(std::move(context), std::move(form), std::move(region), std::move(source), std::nullopt,
                               until);
}

awaitable<result<credentials>> web_identity_keys(std::shared_ptr<const source_context> context, deadline until) {
    auto file = context->env("AWS_WEB_IDENTITY_TOKEN_FILE");
    if (!file) co_return fail(errc::not_found, "no web identity is configured");
    role_request role;
    role.role_arn = context->env("AWS_ROLE_ARN").value_or("");
    role.session_name = context->env("AWS_ROLE_SESSION_NAME").value_or("");
    if (role.role_arn.empty()) {
        co_return refused("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
    }
    co_return co_await assume_role_with_web_identity(context, std::move(role), std::move(*file), until);
}

}  // namespace keepstore::s3
