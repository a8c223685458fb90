/// A response that is no success: what the service, or another server in its place, says, and what the next attempt can
/// learn from it. The part that S3 and Azure have in common; used by their clients, not by drivers.
#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "cloud/error.hpp"
#include "net/client/http_client.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::cloud {

/// Why an attempt failed.
struct request_failure {
    error what;
    error_kind kind;
    unsigned status = 0;  ///< 0: there was no response.
    std::string code = {};
    std::optional<std::chrono::milliseconds> clock_offset = {};  ///< The service's clock minus ours.
    deadline::clock::duration retry_after{};
};

/// Makes the failure for this response, with everything that its head says: status, clock and Retry-After.
/// `local_time` is our clock when the request was sent, roughly. `what` and `kind` are still to be set.
[[nodiscard]] request_failure begin_failure(const net::response& response, std::chrono::milliseconds local_time);

/// Returns an id or code from a header or body without the characters that do not belong in a log line.
[[nodiscard]] std::string printable(std::string_view text);

/// Returns whether some header's name begins with `prefix`, in any case: "x-amz-", "x-ms-". Other servers have none.
[[nodiscard]] bool has_header_prefix(const net::response& response, std::string_view prefix);

/// Classifies by its status an error that another server than the service has sent: a proxy with its own page, a login,
/// a redirect to TLS, a load balancer without a backend. Such an error says nothing about keys, policies, regions and
/// objects, and is no throttling. \returns nullopt if the response may be the service's.
/// \param page  there is a body, without an error code of the service.
/// \param unmarked  it has none of the service's headers.
[[nodiscard]] std::optional<error_kind> classify_foreign(unsigned status, bool page, bool unmarked);

}  // namespace keepstore::cloud
