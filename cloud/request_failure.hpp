/// A response that is no success: what S3, or another server in its place, says, and what the next attempt can learn
/// from it. Part of client_core, not of the module's interface.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "net/client/http_client.hpp"
#include "cloud/error.hpp"
#include "cloud/op_stats.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::s3 {

/// Why an attempt failed.
struct request_failure {
    error what;
    error_kind kind;
    unsigned status = 0;
    std::string code = {};
    std::string region = {};                     ///< The bucket's, if the response has it.
    std::optional<net::endpoint> location = {};  ///< Of a temporary redirect inside Amazon.
    std::optional<std::chrono::milliseconds> clock_offset = {};
    deadline::clock::duration retry_after{};
    bool from_s3 = false;  ///< It has headers of S3, or is Amazon's redirect.
};

/// Reads a response whose status is no success. Awaited in place. `local_time` is our clock when it was sent, roughly.
[[nodiscard]] awaitable<request_failure> read_failure(operation op, net::response response,
                                                      std::chrono::milliseconds local_time);

/// Returns an id or code from a header or body without the characters that do not belong in a log line.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace keepstore::s3
