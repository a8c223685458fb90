#include "router/tokens.hpp"

#include "base/base64.hpp"
#include "base/text.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace keepstore::router {
namespace {

// Trims the white space of Go's strings.TrimSpace, not only HTTP's.
std::string_view trimmed(std::string_view text) {
    return trim(text, " \t\r\n\v\f");
}

void add_cookie(std::string_view cookies, std::vector<std::string>& out) {
    constexpr std::string_view name = "arvados_api_token=";
    while (!cookies.empty()) {
        std::string_view pair = trimmed(take_part(cookies, ';'));
        if (!pair.starts_with(name)) continue;
        pair.remove_prefix(name.size());
        if (pair.size() >= 2 && pair.front() == '"' && pair.back() == '"') pair = pair.substr(1, pair.size() - 2);
        const auto token = decode_base64(pair, base64_alphabet::url);
        if (token && !token->empty()) out.emplace_back(trimmed(*token));
        return;
    }
}

}  // namespace

std::vector<std::string> authorization_tokens(std::string_view header) {
    std::vector<std::string> out;
    const std::string_view value = trimmed(header);
    const auto space = value.find(' ');
    if (space == std::string_view::npos) return out;
    const std::string_view scheme = value.substr(0, space);
    const std::string_view rest = value.substr(space + 1);
    if (scheme == "Bearer" || scheme == "OAuth2") {
        out.emplace_back(trimmed(rest));
    } else if (iequals(scheme, "Basic")) {
        const auto pair = decode_base64(rest);
        const auto colon = pair ? pair->find(':') : std::string::npos;
        if (colon != std::string::npos) out.emplace_back(trimmed(std::string_view(*pair).substr(colon + 1)));
    }
    return out;
}

std::vector<std::string> collect_tokens(const net::request_head& head) {
    std::vector<std::string> out = authorization_tokens(head.get("Authorization"));
    if (!head.query.empty())
        for (const std::string& value : query_values(head.query, "api_token")) out.emplace_back(trimmed(value));
    add_cookie(head.get("Cookie"), out);
    return out;
}

secret_token::secret_token(std::string_view token) : empty_(token.empty()), digest_(sha256(token)) {}

bool secret_token::matches(std::string_view token) const noexcept {
    if (empty_) return false;
    const auto other = sha256(token);
    return CRYPTO_memcmp(digest_.data(), other.data(), digest_.size()) == 0;
}

admission require_literal_token(const secret_token& secret, const std::vector<std::string>& tokens,
                                admission if_unset) noexcept {
    if (secret.empty()) return if_unset;
    if (tokens.empty()) return admission::unauthorized;
    bool granted = false;
    for (const std::string& token : tokens) granted |= secret.matches(token);
    return granted ? admission::granted : admission::forbidden;
}

bool is_exact_bearer(std::string_view authorization, const secret_token& secret) noexcept {
    constexpr std::string_view scheme = "Bearer ";
    return authorization.starts_with(scheme) && secret.matches(authorization.substr(scheme.size()));
}

std::vector<std::string> query_values(std::string_view query, std::string_view name) {
    std::vector<std::string> out;
    while (!query.empty()) {
        std::string_view value = take_part(query, '&');
        if (value.contains(';')) continue;
        const auto key = percent_decode(take_part(value, '='), true);
        if (!key || *key != name) continue;
        if (auto decoded = percent_decode(value, true)) out.push_back(std::move(*decoded));
    }
    return out;
}

}  // namespace keepstore::router
