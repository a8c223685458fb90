#include "cloud/op_stats.hpp"

#include "base/text.hpp"
#include "s3/limits.hpp"

#include <fmt/format.h>

namespace keepstore::s3 {
namespace {

constexpr std::array<std::string_view, operation_count> names{"get",
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
constexpr std::size_t counted_by_go = 5;
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

bool is_plain_code(std::string_view code) {
    const auto plain = [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; };
    return !code.empty() && code.size() <= 64 && std::ranges::all_of(code, plain);
}

}  // namespace

std::string_view to_string(operation op) noexcept {
    return names[static_cast<std::size_t>(op)];
}

void op_stats::failed(unsigned status, std::string_view code) {
    std::string type = "*smithy.OperationError";
    if (status != 0) type += fmt::format(" {} {}", status, is_plain_code(code) ? code : code_for_status(status));
    const std::lock_guard lock(mutex_);
    if (errors_.size() >= limits::s3_error_types_max && !errors_.contains(type)) type = "*smithy.OperationError other";
    ++errors_[type];
}

std::map<std::string, std::uint64_t> op_stats::counted(std::size_t from, std::size_t to) const {
    std::map<std::string, std::uint64_t> out;
    for (std::size_t i = from; i < to; ++i) out[std::string(names[i])] = operations_[i].value();
    return out;
}

std::map<std::string, std::uint64_t> op_stats::operations() const {
    return counted(0, counted_by_go);
}

std::map<std::string, std::uint64_t> op_stats::other_operations() const {
    return counted(counted_by_go, operation_count);
}

std::map<std::string, std::uint64_t> op_stats::errors() const {
    std::map<std::string, std::uint64_t> out;
    for (const auto type : usual_errors) out.emplace(type, 0);
    const std::lock_guard lock(mutex_);
    for (const auto& [type, n] : errors_) out[type] = n;
    return out;
}

}  // namespace keepstore::s3
