/// The head of a request as it goes on the wire.
#pragma once

#include "base/error.hpp"
#include "net/client/http_client.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace keepstore::net {

/// \returns errc::bad_request for what could not be sent, or would be read as something else by the server: a method, a
/// target or a header with characters that do not belong there, or a header that is the client's own business.
[[nodiscard]] result<void> check_request(const request&);

/// Body bytes to announce; nullopt if there is neither a body nor a method that is expected to have one.
[[nodiscard]] std::optional<std::uint64_t> announced_length(const request&);

///     PUT /bucket/key HTTP/1.1
///     Host: s3.example:9000
///     (the request's headers)
///     User-Agent: keepstore/1.0
///     Content-Length: 3
///     Expect: 100-continue
///
[[nodiscard]] std::string write_request_head(const request&, const std::string& user_agent);

}  // namespace keepstore::net
