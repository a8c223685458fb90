/// Absolute http and https URLs, and the host and port in them. Pure functions on any bytes.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace keepstore::net {

/// A server as the client addresses it. Connections are pooled by it.
struct endpoint {
    bool tls = false;
    std::string host;  ///< A name in lower case, or an address as text; IPv6 without brackets.
    std::uint16_t port = 80;

    bool operator==(const endpoint&) const = default;
};

struct url {
    endpoint to;
    std::string target;  ///< Path and query as they go into the request line; "/" if the URL has no path.
};

/// Parses "http[s]://host[:port][/path][?query]". The bytes of path and query stay as they are; a fragment is dropped.
/// \returns errc::bad_request with the reason for other schemes, user info, an empty or malformed host, an IPv6
/// address with a scope, port 0, and bytes that are not allowed in a URL (controls, spaces, quotes, non-ASCII). The
/// text does not repeat the URL, which may hold secrets.
[[nodiscard]] result<url> parse_url(std::string_view text);

/// Resolves a Location header relative to `base` (RFC 3986 5.2 for absolute URLs, "//host/path", "/path", "path" and
/// "?query"; dot segments are left to the server).
[[nodiscard]] result<url> resolve_location(const url& base, std::string_view location);

/// Returns the value of the Host header: brackets around IPv6, the port only if it is not the scheme's own. What SigV4
/// signs.
[[nodiscard]] std::string host_header(const endpoint&);

/// "https://host:port", for messages and as a metric label.
[[nodiscard]] std::string to_string(const endpoint&);

}  // namespace keepstore::net
