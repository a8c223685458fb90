/// Counters of an S3 client, for metrics (docs/interface.md 6.3).
#pragma once

#include "net/client/client_stats.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace keepstore::s3 {

/// A snapshot. Every request that was sent counts, so a call with two retries counts three times.
struct client_stats {
    /// By the Go daemon's names: "get", "put" (parts as well), "head" (objects), "delete", "list".
    std::map<std::string, std::uint64_t> operations;
    /// Those that the Go daemon does not count: "copy", "create_multipart", "complete_multipart", "abort_multipart",
    /// "list_uploads", "head_bucket".
    std::map<std::string, std::uint64_t> other_operations;
    /// Failed requests by the Go daemon's error types: "*smithy.OperationError 404 NoSuchKey", without status and code
    /// where there was no response.
    std::map<std::string, std::uint64_t> errors;
    std::uint64_t bytes_in = 0;         ///< Of bodies of objects.
    std::uint64_t bytes_out = 0;        ///< Of bodies of objects.
    std::uint64_t retries = 0;          ///< Requests sent again after a transient failure.
    std::uint64_t retries_refused = 0;  ///< Transient failures without a retry, since the retry budget was spent.
    std::uint64_t resumed_downloads = 0;
    std::uint64_t throttled = 0;  ///< Throttling responses.
    net::client_stats http;
};

}  // namespace keepstore::s3
