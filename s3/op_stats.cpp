#include "s3/op_stats.hpp"

#include <fmt/format.h>

#include <array>
#include <string>

namespace keepstore::s3 {
namespace {

constexpr std::array<std::string_view, operation_count> operation_names{"get",
                                                                        "put",
                                                                        "head",
                                                                        "delete",
                                                                        "list",
                                                                        "copy",
                                                                        "create_multipart",
                                                                        "complete_multipart",
                                                                        "abort_multipart",
                                                                        "list_uploads",
                                                                        "head_bucket"};
// No response, a missing object, refused keys, an outage, overload: what rates and alerts are about.
constexpr std::array<std::string_view, 8> usual_errors{"*smithy.OperationError",
                                                       "*smithy.OperationError 403 AccessDenied",
                                                       "*smithy.OperationError 403 Forbidden",
                                                       "*smithy.OperationError 404 NoSuchKey",
                                                       "*smithy.OperationError 404 NotFound",
                                                       "*smithy.OperationError 500 InternalError",
                                                       "*smithy.OperationError 503 ServiceUnavailable",
                                                       "*smithy.OperationError 503 SlowDown"};

/// The Go SDK's code for an error without a body, which it derives from the status.
std::string_view code_for_status(unsigned status) {
    switch (status) {
        case 301:
            return "MovedPermanently";
        case 307:
            return "TemporaryRedirect";
        case 400:
            return "BadRequest";
        case 403:
            return "Forbidden";
        case 404:
            return "NotFound";
        case 412:
            return "PreconditionFailed";
        case 500:
            return "InternalServerError";
        case 503:
            return "ServiceUnavailable";
        default:
            return "UnknownError";
    }
}

std::string error_type(unsigned status, std::string_view code) {
    if (status == 0) return "*smithy.OperationError";
    return fmt::format("*smithy.OperationError {} {}", status,
                       cloud::is_plain_code(code) ? code : code_for_status(status));
}

}  // namespace

constinit const cloud::op_stats_texts stats_texts{.operations = operation_names,
                                                  .counted_by_go = 5,
                                                  .retries = "keepstore_s3_retries_total",
                                                  .retries_refused = "keepstore_s3_retries_refused_total",
                                                  .resumed_downloads = "keepstore_s3_resumed_downloads_total",
                                                  .throttled = "keepstore_s3_throttled_total",
                                                  .other_errors = "*smithy.OperationError other",
                                                  .usual_errors = usual_errors,
                                                  .error_type = error_type};

std::string_view to_string(operation op) noexcept {
    return operation_names[static_cast<std::size_t>(op)];
}

}  // namespace keepstore::s3
