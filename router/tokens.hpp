/// The tokens of a request, and their comparison with configured ones
/// (docs/interface.md 2.5). Pure functions and value types; safe to use from any thread.
#pragma once

#include "base/sha256.hpp"
#include "net/server/server_exchange.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace keepstore::router {

/// Returns the tokens of a request in the order of docs/interface.md 2.5: Authorization (Bearer or OAuth2, else the
/// password of Basic), every api_token of the query, the arvados_api_token cookie. May contain empty strings
/// (`api_token=`), which match nothing.
[[nodiscard]] std::vector<std::string> collect_tokens(const net::request_head&);

/// Returns the token of an Authorization header in any of its forms; nothing without one.
[[nodiscard]] std::vector<std::string> authorization_tokens(std::string_view header);

/// A configured token. Compared in constant time as SHA-256 digests, so that neither content nor length leaks.
class secret_token {
  public:
    secret_token() = default;
    explicit secret_token(std::string_view token);
    [[nodiscard]] bool empty() const noexcept { return empty_; }
    /// Never true for an empty secret.
    [[nodiscard]] bool matches(std::string_view token) const noexcept;

  private:
    bool empty_ = true;
    sha256_digest digest_{};
};

enum class admission {
    granted,
    unauthorized,  ///< 401: no token was given.
    forbidden,     ///< 403: tokens were given and none is right.
};

/// Returns whether any of `tokens` is `secret`; `if_unset` for an unset secret: the admin API is closed then, unlike
/// the Go daemon's (docs/compatibility.md), and /metrics is open (docs/interface.md 2.4).
[[nodiscard]] admission require_literal_token(const secret_token& secret, const std::vector<std::string>& tokens,
                                              admission if_unset) noexcept;

/// Returns whether the Authorization header is exactly "Bearer " + secret, the only form that /_health/ping and
/// /_inspect accept.
[[nodiscard]] bool is_exact_bearer(std::string_view authorization, const secret_token& secret) noexcept;

/// Returns all values of `name` in a raw query string, decoded (`%xx`, `+` as space). Skips pairs with broken escapes
/// or a semicolon, as Go's net/url does.
[[nodiscard]] std::vector<std::string> query_values(std::string_view query, std::string_view name);

}  // namespace keepstore::router
