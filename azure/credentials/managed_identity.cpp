#include "azure/credentials/managed_identity.hpp"

#include "azure/error.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "cloud/credentials/credential_http.hpp"
#include "cloud/limits.hpp"
#include "cloud/query.hpp"
#include "net/http/url.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace keepstore::azure {
namespace {

constexpr std::string_view service_name = "the instance metadata service";

/// Not by make_error(), whose advice is about keys and signatures, too.
std::unexpected<error> refused(std::string what) {
    return fail(to_errc(error_kind::bad_credentials), std::move(what),
                cloud::make_error_code(error_kind::bad_credentials));
}

/// A number of JSON, or a text of digits: the service sends texts, others numbers.
std::optional<std::int64_t> number_of(const nlohmann::json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end()) return std::nullopt;
    if (found->is_number_integer()) return found->get<std::int64_t>();
    if (found->is_string()) return parse_number<std::int64_t>(found->get<std::string>());
    return std::nullopt;
}

/// The part of an error's description that fits into a line: "Identity not found".
std::string reason_in(std::string_view body) {
    const auto json = parse_json(body);
    if (!json.is_object()) return {};
    std::string out;
    for (const char c : json_text(json, "error_description").substr(0, 200)) {
        if (c >= 0x20 && c < 0x7f) out += c;
    }
    return out;
}

}  // namespace

// GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=...
// Metadata: true
awaitable<result<cloud::credentials>> managed_identity_source::fetch(deadline until) {
    const auto base = net::parse_url(options_.endpoint);
    if (!base) co_return refused("the address of the instance metadata service is not an http URL");
    cloud::name_values query{{"api-version", "2018-02-01"}, {"resource", options_.resource}};
    if (!options_.client_id.empty()) query.emplace_back("client_id", options_.client_id);
    net::request ask{
        .method = "GET", .to = base->to, .target = "/metadata/identity/oauth2/token?" + cloud::canonical_query(query)};
    ask.headers.push_back({"Metadata", "true"});
    ask.timing = {.connect = limits::metadata_connect_timeout,
                  .first_byte = limits::metadata_answer_timeout,
                  .progress = limits::metadata_answer_timeout};
    const auto response = co_await cloud::fetch_small(http_, options_.now, std::move(ask), until);
    if (!response) {
        if (response.error() == errc::cancelled) co_return std::unexpected(response.error());
        co_return refused(
            "the instance metadata service does not respond (not on an Azure virtual machine? Then set "
            "StorageAccountKey or a shared access signature)");
    }
    if (response->status != 200) {
        const auto reason = reason_in(response->body);
        co_return refused(fmt::format(
            "the instance metadata service returned status {}{}{}: assign a managed identity to this machine{}",
            response->status, reason.empty() ? "" : ", ", reason,
            options_.client_id.empty() ? ", and give its client id if it has several" : " with the given client id"));
    }
    co_return parse_access_token(
        response->body,
        {.source = "the machine's managed identity", .now = options_.now(), .clock_offset = response->clock_offset});
}

result<cloud::credentials> parse_access_token(std::string_view body, token_origin origin) {
    const auto malformed = [&](std::string_view what) {
        return std::unexpected(
            make_error(error_kind::malformed_response, fmt::format("{} returned {}", service_name, what)));
    };
    const auto json = parse_json(body);
    if (!json.is_object()) return malformed("no JSON");
    auto token = cloud::clean_token(json_text(json, "access_token"), "the access token");
    if (!token) return malformed("no access token");
    // It is sent in a header, in which it must not end the line or be divided.
    if (token->contains(' ')) return malformed("a malformed access token");
    const auto at = number_of(json, "expires_on");
    const auto in = number_of(json, "expires_in");
    const auto of_service = std::chrono::floor<std::chrono::seconds>(origin.now + origin.clock_offset);
    // Both within what can be added to a time.
    constexpr std::int64_t latest = 253'402'300'799;  // The end of the year 9999.
    const auto expires = at ? *at : in && *in <= latest ? of_service.time_since_epoch().count() + *in : -1;
    if (expires < 0 || expires > latest) return malformed("an access token without a valid expiry");
    cloud::credentials out;
    out.keys.session_token = cloud::secret_string(std::move(*token));
    out.expires_at = cloud::sys_seconds(std::chrono::seconds(expires));
    out.source = std::move(origin.source);
    out.clock_offset = origin.clock_offset;
    return out;
}

result<std::shared_ptr<cloud::credentials_cache>> make_managed_identity(identity_options options) {
    if (!net::parse_url(options.endpoint)) {
        return fail(errc::bad_request, "the address of the instance metadata service is not an http URL");
    }
    // Without proxies: the service is on this host.
    KS_TRY(auto http, net::client::make({}));
    const auto now = options.now;
    auto source = std::make_unique<managed_identity_source>(std::move(options), std::move(http));
    return std::make_shared<cloud::credentials_cache>(std::move(source), now);
}

}  // namespace keepstore::azure
