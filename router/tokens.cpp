#include "router/tokens.hpp"

#include "net/http/text.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace keepstore::router {
namespace {

// Trims the white space of Go's strings.TrimSpace, not only HTTP's.
std::string_view trim(std::string_view s) {
    constexpr std::string_view space = " \t\r\n\v\f";
    const auto from = s.find_first_not_of(space);
    if (from == std::string_view::npos) return {};
    return s.substr(from, s.find_last_not_of(space) - from + 1);
}

// Decodes RFC 4648 base64 with mandatory padding; `last` are the characters for 62 and 63.
std::optional<std::string> decode_base64(std::string_view in, std::string_view last) {
    const auto digit = [&](char c) -> int {
        if (c >= 'A' && c <= 'Z') return c - 'A';
        if (c >= 'a' && c <= 'z') return c - 'a' + 26;
        if (c >= '0' && c <= '9') return c - '0' + 52;
        if (c == last[0]) return 62;
        if (c == last[1]) return 63;
        return -1;
    };
    if (in.size() % 4 != 0) return std::nullopt;
    std::string out;
    out.reserve(in.size() / 4 * 3);
    for (std::size_t i = 0; i < in.size(); i += 4) {
        std::size_t padding = 0;
        unsigned value = 0;
        for (std::size_t k = 0; k < 4; ++k) {
            const char c = in[i + k];
            int d = 0;
            if (c == '=' && i + 4 == in.size() && k >= 2) {
                ++padding;
            } else {
                d = digit(c);
                if (d < 0 || padding > 0) return std::nullopt;
            }
            value = value << 6 | static_cast<unsigned>(d);
        }
        for (std::size_t k = 0; k < 3 - padding; ++k) out += static_cast<char>(value >> (16 - 8 * k) & 0xff);
    }
    return out;
}

std::optional<std::string> decode_query_part(std::string_view in) {
    const auto nibble = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    std::string out;
    out.reserve(in.size());
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (in[i] == '+') {
            out += ' ';
        } else if (in[i] == '%') {
            if (i + 2 >= in.size()) return std::nullopt;
            const int high = nibble(in[i + 1]);
            const int low = nibble(in[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += in[i];
        }
    }
    return out;
}

void add_authorization(std::string_view value, std::vector<std::string>& out) {
    value = trim(value);
    const auto space = value.find(' ');
    if (space == std::string_view::npos) return;
    const std::string_view scheme = value.substr(0, space);
    const std::string_view rest = value.substr(space + 1);
    if (scheme == "Bearer" || scheme == "OAuth2") {
        out.emplace_back(trim(rest));
    } else if (net::iequals(scheme, "Basic")) {
        const auto pair = decode_base64(rest, "+/");
        if (!pair) return;
        const auto colon = pair->find(':');
        if (colon != std::string::npos) out.emplace_back(trim(std::string_view(*pair).substr(colon + 1)));
    }
}

void add_cookie(std::string_view cookies, std::vector<std::string>& out) {
    constexpr std::string_view name = "arvados_api_token=";
    while (!cookies.empty()) {
        const auto end = cookies.find(';');
        std::string_view pair = trim(cookies.substr(0, end));
        cookies = end == std::string_view::npos ? std::string_view{} : cookies.substr(end + 1);
        if (!pair.starts_with(name)) continue;
        pair.remove_prefix(name.size());
        if (pair.size() >= 2 && pair.front() == '"' && pair.back() == '"') pair = pair.substr(1, pair.size() - 2);
        const auto token = decode_base64(pair, "-_");
        if (token && !token->empty()) out.emplace_back(trim(*token));
        return;
    }
}

}  // namespace

std::vector<std::string> authorization_tokens(std::string_view header) {
    std::vector<std::string> out;
    add_authorization(header, out);
    return out;
}

std::vector<std::string> collect_tokens(const net::request_head& head) {
    std::vector<std::string> out = authorization_tokens(head.get("Authorization"));
    if (!head.query.empty())
        for (const std::string& value : query_values(head.query, "api_token")) out.emplace_back(trim(value));
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
        const auto end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
        if (pair.find(';') != std::string_view::npos) continue;
        const auto equals = pair.find('=');
        const auto key = decode_query_part(pair.substr(0, equals));
        if (!key || *key != name) continue;
        auto value = decode_query_part(equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1));
        if (value) out.push_back(std::move(*value));
    }
    return out;
}

}  // namespace keepstore::router
