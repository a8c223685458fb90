/// URLs as configuration keys and values (docs/interface.md 1.4): parsed by the rules of Go's net/url as far as they
/// can matter here, compared part by part. The scheme is lower-cased; the host is not, and default ports are not added.
#pragma once

#include <compare>
#include <expected>
#include <string>
#include <string_view>

namespace keepstore::cluster_config {

struct url {
    std::string scheme;
    std::string opaque;  ///< "25107" of "localhost:25107": no authority.
    std::string user;    ///< "name:password" as written.
    std::string host;    ///< With port and IPv6 brackets, as written.
    std::string path;    ///< "/" when a host is given without a path.
    std::string query;   ///< As written, without "?".
    std::string fragment;

    auto operator<=>(const url&) const = default;

    [[nodiscard]] bool is_tls() const { return scheme == "https" || scheme == "wss"; }
    /// Without port and brackets.
    [[nodiscard]] std::string hostname() const;
    /// As written; empty when there is none.
    [[nodiscard]] std::string port() const;
    /// Without the user part, for messages.
    [[nodiscard]] std::string to_string() const;
};

/// \returns the URL, or the error in a few words. The empty text is the empty URL.
[[nodiscard]] std::expected<url, std::string> parse_url(std::string_view text);

}  // namespace keepstore::cluster_config
