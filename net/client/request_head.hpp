/// Checks requests, and writes their heads as they go on the wire.
#pragma once

#include "base/error.hpp"
#include "net/client/http_client.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace keepstore::net {

/// Checks that the request can be sent, and that the server cannot read it as something else.
/// \returns errc::bad_request for illegal characters in method, target or headers, and for headers that the client
/// writes itself.
[[nodiscard]] result<void> check_request(const request&);

/// Returns the Content-Length; nullopt if there is neither a body nor a method that usually has one.
[[nodiscard]] std::optional<std::uint64_t> announced_length(const request&);

///     PUT /bucket/key HTTP/1.1
///     Host: s3.example:9000
///     (the request's headers)
///     User-Agent: keepstore/1.0
///     Content-Length: 3
///     Expect: 100-continue
///
/// To a proxy the target is absolute ("http://s3.example:9000/bucket/key"), and Proxy-Authorization may follow Host.
[[nodiscard]] std::string write_request_head(const request&, const std::string& user_agent, const proxy* via);
/// The head of a request for a tunnel to `to`.
[[nodiscard]] std::string write_connect_head(const endpoint& to, const std::string& user_agent, const proxy& via);

}  // namespace keepstore::net
