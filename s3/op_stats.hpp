/// What an S3 client has done so far, for metrics (docs/interface.md 6.3). Safe to use from any thread.
#pragma once

#include "cloud/op_stats.hpp"

#include <cstddef>
#include <string_view>

namespace keepstore::s3 {

/// The Go daemon's five first (docs/interface.md 6.3), then those it does not count.
enum class operation {
    get,
    put,
    head,
    del,
    list,
    copy,
    create_multipart,
    complete_multipart,
    abort_multipart,
    list_uploads,
    head_bucket,
};
inline constexpr std::size_t operation_count = static_cast<std::size_t>(operation::head_bucket) + 1;
[[nodiscard]] std::string_view to_string(operation op) noexcept;

/// Operations have the Go daemon's names: "get", "put" (parts as well), "head" (objects), "delete", "list"; then
/// "copy", "create_multipart", "complete_multipart", "abort_multipart", "list_uploads", "head_bucket". Error types are
/// the Go daemon's: "*smithy.OperationError 404 NoSuchKey", and without status and code where there was no response.
extern const cloud::op_stats_texts stats_texts;

}  // namespace keepstore::s3
