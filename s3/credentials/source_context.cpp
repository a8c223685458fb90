#include "s3/credentials/source_context.hpp"

#include "base/json.hpp"
#include "s3/error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace keepstore::s3 {

std::unexpected<error> refused(std::string_view what) {
    return std::unexpected(make_error(error_kind::bad_credentials, what));
}

result<credentials> parse_json_credentials(std::string_view body, std::string source, bool temporary,
                                           std::chrono::milliseconds clock_offset) {
    const auto malformed = [&](std::string_view what) {
        return std::unexpected(make_error(error_kind::malformed_response, fmt::format("{} returned {}", source, what)));
    };
    const auto json = parse_json(body);
    if (!json.is_object()) return malformed("no JSON");
    credentials out;
    out.keys.access_key_id = json_text(json, "AccessKeyId");
    out.keys.secret_access_key = secret_string(json_text(json, "SecretAccessKey"));
    auto token = json_text(json, "Token");
    if (token.empty()) token = json_text(json, "SessionToken");
    out.keys.session_token = secret_string(std::move(token));
    const auto expiration = json_text(json, "Expiration");
    if (!expiration.empty()) {
        out.expires_at = parse_iso_date(expiration);
        if (!out.expires_at) return malformed("an invalid Expiration");
    }
    if (out.keys.access_key_id.empty() || out.keys.secret_access_key.empty() || (temporary && !out.expires_at)) {
        return malformed("incomplete credentials");
    }
    out.source = std::move(source);
    out.clock_offset = clock_offset;
    return out;
}

}  // namespace keepstore::s3
