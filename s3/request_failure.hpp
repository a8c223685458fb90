/// A response of S3, or of another server in its place, that is no success. Part of client_core, not of the module's
/// interface.
#pragma once

#include "base/async.hpp"
#include "cloud/request_failure.hpp"
#include "s3/error.hpp"

#include <optional>
#include <string>

namespace keepstore::s3 {

/// Why an attempt failed, with what S3 tells about the bucket.
struct request_failure : cloud::request_failure {
    std::string region = {};                     ///< The bucket's, if the response has it.
    std::optional<net::endpoint> location = {};  ///< Of a temporary redirect inside Amazon.
    bool from_s3 = false;                        ///< It has headers of S3, or is Amazon's redirect.
};

/// Reads a response whose status is no success. Awaited in place.
[[nodiscard]] awaitable<request_failure> read_failure(failed_request request, net::response response);

}  // namespace keepstore::s3
