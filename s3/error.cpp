#include "cloud/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace keepstore::s3 {
namespace {

struct kind_row {
    error_kind kind;
    std::string_view name;
    errc code;
    retry_class retry;
    std::string_view advice;
};

// One row per kind, in the order of the enumeration.
constexpr std::array rows{
    kind_row{error_kind::not_found, "not_found", errc::not_found, retry_class::never, "There is no such object."},
    kind_row{error_kind::no_such_bucket, "no_such_bucket", errc::unavailable, retry_class::never,
             "The bucket does not exist at this endpoint: check Bucket, Endpoint and Region, or create the bucket."},
    kind_row{error_kind::no_such_upload, "no_such_upload", errc::io_error, retry_class::never,
             "The multipart upload is gone: a lifecycle rule or another process aborted it."},
    kind_row{
        error_kind::access_denied, "access_denied", errc::unavailable, retry_class::never,
        "Access denied: the policy of the bucket or of the user must allow s3:GetObject, s3:PutObject, s3:DeleteObject "
        "and s3:ListBucket to these keys (without s3:ListBucket S3 also denies access to objects that do not exist)."},
    kind_row{error_kind::bad_credentials, "bad_credentials", errc::unavailable, retry_class::never,
             "The access key is unknown or the secret key is wrong: check AccessKeyID and SecretAccessKey, or the "
             "environment, profile or role that the keys come from."},
    kind_row{error_kind::expired_token, "expired_token", errc::unavailable, retry_class::never,
             "The temporary credentials have expired and no newer ones could be fetched: check their source."},
    kind_row{error_kind::clock_skew, "clock_skew", errc::unavailable, retry_class::never,
             "The clock of this machine is wrong by more than 15 minutes: check time synchronisation (NTP)."},
    kind_row{error_kind::wrong_region, "wrong_region", errc::unavailable, retry_class::never,
             "The bucket is in another region: set Region (and Endpoint) to the bucket's own."},
    kind_row{
        error_kind::slow_down, "slow_down", errc::unavailable, retry_class::throttled,
        "The service is throttling requests: a passing overload, or the request rate is above the bucket's limits."},
    kind_row{error_kind::server, "server", errc::unavailable, retry_class::transient,
             "The storage service failed internally; if it lasts, look at the service itself."},
    kind_row{error_kind::bad_digest, "bad_digest", errc::checksum_mismatch, retry_class::transient,
             "The service received other bytes than were sent: a faulty network device or proxy in between."},
    kind_row{error_kind::precondition, "precondition", errc::io_error, retry_class::never,
             "The condition of a conditional request does not hold."},
    kind_row{error_kind::invalid_range, "invalid_range", errc::io_error, retry_class::never,
             "The requested range begins past the end of the object."},
    kind_row{error_kind::invalid, "invalid", errc::io_error, retry_class::never,
             "The service refuses the request as malformed: check Endpoint, Bucket and UsePathStyle."},
    kind_row{error_kind::unsupported, "unsupported", errc::unsupported, retry_class::never,
             "The service does not implement this operation."},
    kind_row{error_kind::malformed_response, "malformed_response", errc::unavailable, retry_class::transient,
             "Unexpected response: not an S3 service. Check that Endpoint names the S3 service and not a web page or "
             "proxy."},
    kind_row{error_kind::network, "network", errc::unavailable, retry_class::transient,
             "No connection, or it broke: check Endpoint, name resolution, routing and firewalls."},
    kind_row{error_kind::bad_certificate, "bad_certificate", errc::unavailable, retry_class::never,
             "TLS certificate verification failed: not trusted, or not for this host name; install the certificate "
             "authority or correct Endpoint."},
    kind_row{error_kind::timeout, "timeout", errc::timeout, retry_class::transient,
             "The service did not respond in time: check its load, the network, ConnectTimeout and ReadTimeout."},
    kind_row{error_kind::cancelled, "cancelled", errc::cancelled, retry_class::never, "The call was cancelled."},
};

constexpr bool rows_are_in_order() {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (static_cast<std::size_t>(rows[i].kind) != i + 1) return false;
    }
    return true;
}
static_assert(rows_are_in_order());

const kind_row& row(error_kind kind) noexcept {
    const auto index = static_cast<std::size_t>(kind) - 1;
    return index < rows.size() ? rows[index] : rows[static_cast<std::size_t>(error_kind::malformed_response) - 1];
}

struct code_row {
    std::string_view code;
    error_kind kind;
};

// Codes of Amazon S3 and STS, Ceph, MinIO and Swift, sorted. For other codes the HTTP status decides.
constexpr std::array codes{
    code_row{"AccessDenied", error_kind::access_denied},
    code_row{"AccountProblem", error_kind::access_denied},
    code_row{"AllAccessDisabled", error_kind::access_denied},
    code_row{"AuthFailure", error_kind::bad_credentials},
    code_row{"AuthorizationHeaderMalformed", error_kind::wrong_region},
    code_row{"BadDigest", error_kind::bad_digest},
    code_row{"BandwidthLimitExceeded", error_kind::slow_down},
    code_row{"BucketRegionError", error_kind::wrong_region},
    code_row{"Busy", error_kind::slow_down},
    code_row{"ConditionalRequestConflict", error_kind::slow_down},
    code_row{"EC2ThrottledException", error_kind::slow_down},
    code_row{"ExpiredToken", error_kind::expired_token},
    code_row{"ExpiredTokenException", error_kind::expired_token},
    code_row{"IDPCommunicationError", error_kind::server},
    code_row{"IllegalLocationConstraintException", error_kind::wrong_region},
    code_row{"IncompleteBody", error_kind::network},
    code_row{"InternalError", error_kind::server},
    code_row{"InternalFailure", error_kind::server},
    code_row{"InvalidAccessKeyId", error_kind::bad_credentials},
    code_row{"InvalidBucketName", error_kind::invalid},
    code_row{"InvalidClientTokenId", error_kind::bad_credentials},
    code_row{"InvalidDigest", error_kind::invalid},
    code_row{"InvalidIdentityToken", error_kind::bad_credentials},
    code_row{"InvalidRange", error_kind::invalid_range},
    code_row{"InvalidRegion", error_kind::wrong_region},
    code_row{"InvalidToken", error_kind::expired_token},
    code_row{"MethodNotAllowed", error_kind::unsupported},
    code_row{"NoSuchBucket", error_kind::no_such_bucket},
    code_row{"NoSuchKey", error_kind::not_found},
    code_row{"NoSuchUpload", error_kind::no_such_upload},
    code_row{"NotImplemented", error_kind::unsupported},
    code_row{"OperationAborted", error_kind::slow_down},
    code_row{"PermanentRedirect", error_kind::wrong_region},
    code_row{"PreconditionFailed", error_kind::precondition},
    code_row{"PriorRequestNotComplete", error_kind::slow_down},
    code_row{"ProvisionedThroughputExceededException", error_kind::slow_down},
    code_row{"Redirect", error_kind::wrong_region},
    code_row{"RequestExpired", error_kind::clock_skew},
    code_row{"RequestInTheFuture", error_kind::clock_skew},
    code_row{"RequestLimitExceeded", error_kind::slow_down},
    code_row{"RequestThrottled", error_kind::slow_down},
    code_row{"RequestThrottledException", error_kind::slow_down},
    code_row{"RequestTimeTooSkewed", error_kind::clock_skew},
    code_row{"RequestTimeout", error_kind::timeout},
    code_row{"RequestTimeoutException", error_kind::timeout},
    code_row{"ServiceUnavailable", error_kind::slow_down},
    code_row{"SignatureDoesNotMatch", error_kind::bad_credentials},
    code_row{"SlowDown", error_kind::slow_down},
    code_row{"SlowDownRead", error_kind::slow_down},
    code_row{"SlowDownWrite", error_kind::slow_down},
    code_row{"TemporaryRedirect", error_kind::wrong_region},
    code_row{"ThrottledException", error_kind::slow_down},
    code_row{"Throttling", error_kind::slow_down},
    code_row{"ThrottlingException", error_kind::slow_down},
    code_row{"TokenRefreshRequired", error_kind::expired_token},
    code_row{"TooManyRequests", error_kind::slow_down},
    code_row{"TooManyRequestsException", error_kind::slow_down},
    code_row{"TransactionInProgressException", error_kind::slow_down},
    code_row{"UnrecognizedClientException", error_kind::bad_credentials},
    code_row{"XAmzContentSHA256Mismatch", error_kind::bad_digest},
};
static_assert(std::ranges::is_sorted(codes, {}, &code_row::code));

error_kind classify_status(unsigned status) noexcept {
    switch (status) {
        case 301:
        case 302:
        case 307:
        case 308:
            return error_kind::wrong_region;
        case 401:
        case 403:
            return error_kind::access_denied;
        case 404:
            return error_kind::not_found;
        case 405:
        case 501:
            return error_kind::unsupported;
        case 407:  // Of a proxy, which wants a user name and password, or others.
            return error_kind::network;
        case 408:
            return error_kind::timeout;
        case 412:
            return error_kind::precondition;
        case 416:
            return error_kind::invalid_range;
        // 509: sent by overloaded proxies and compatible services.
        case 429:
        case 503:
        case 509:
            return error_kind::slow_down;
        default:
            break;
    }
    if (status >= 500) return error_kind::server;
    if (status >= 400) return error_kind::invalid;
    return error_kind::malformed_response;
}

class category final : public std::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "s3"; }
    [[nodiscard]] std::string message(int value) const override {
        return std::string(to_string(static_cast<error_kind>(value)));
    }
};

}  // namespace

std::string_view to_string(error_kind kind) noexcept {
    return row(kind).name;
}
std::string_view advice(error_kind kind) noexcept {
    return row(kind).advice;
}
errc to_errc(error_kind kind) noexcept {
    return row(kind).code;
}
retry_class classify_retry(error_kind kind) noexcept {
    return row(kind).retry;
}

error_kind classify(unsigned http_status, std::string_view code) noexcept {
    const auto found = std::ranges::lower_bound(codes, code, {}, &code_row::code);
    if (found != codes.end() && found->code == code) return found->kind;
    return classify_status(http_status);
}

const std::error_category& error_category() noexcept {
    static const category instance;
    return instance;
}

std::error_code make_error_code(error_kind kind) noexcept {
    return {static_cast<int>(kind), error_category()};
}

error make_error(error_kind kind, std::string_view detail) {
    auto text = detail.empty() ? std::string(advice(kind)) : fmt::format("{}: {}", detail, advice(kind));
    return {to_errc(kind), std::move(text), make_error_code(kind)};
}

error_kind kind_of(const error& e) noexcept {
    if (e.cause.category() == error_category() && e.cause.value() != 0) return static_cast<error_kind>(e.cause.value());
    switch (e.code) {
        case errc::not_found:
            return error_kind::not_found;
        case errc::timeout:
            return error_kind::timeout;
        case errc::cancelled:
            return error_kind::cancelled;
        case errc::forbidden:
        case errc::unauthorized:
            return error_kind::access_denied;
        case errc::unsupported:
            return error_kind::unsupported;
        default:
            return error_kind::network;
    }
}

}  // namespace keepstore::s3
