/// A response that is no success: what the service, or another server in its place, says, and what the next attempt can
/// learn from it. The part that S3 and Azure have in common; used by their clients, not by drivers.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/error.hpp"
#include "cloud/error.hpp"
#include "cloud/service.hpp"
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

/// A request whose response is no success.
struct failed_request {
    std::string_view operation;            ///< "get"
    bool is_head;                          ///< The response has no body.
    std::chrono::milliseconds local_time;  ///< Our clock when it was sent, roughly.
};

/// Makes the failure for this response, with everything that its head says: status, clock and Retry-After.
/// `what` and `kind` are still to be set.
[[nodiscard]] request_failure begin_failure(const failed_request& request, const net::response& response);

/// Reads the body of an error: an empty one if it cannot be read, since the status decides then. nullopt: cancelled.
[[nodiscard]] awaitable<std::optional<std::string>> read_error_body(net::response& response);

/// What shows whether a response without a code is the service's.
struct response_marks {
    bool page;            ///< There is a body, without an error code of the service.
    bool unmarked;        ///< It has none of the service's headers.
    std::string_view id;  ///< Of the request, for the service's support; may be empty.
};

/// Sets `what` of a failure whose code and kind are known, and corrects the kind where another server has sent it.
void finish_failure(request_failure& f, const service_traits& service, const failed_request& request,
                    const response_marks& marks);

/// Returns an id or code from a header or body without the characters that do not belong in a log line.
[[nodiscard]] std::string printable(std::string_view text);

/// Returns whether some header's name begins with `prefix`, in any case: "x-amz-", "x-ms-". Other servers have none.
[[nodiscard]] bool has_header_prefix(const net::response& response, std::string_view prefix);

}  // namespace keepstore::cloud
