#include "s3/error.hpp"

#include <algorithm>
#include <array>

namespace keepstore::s3 {
namespace {

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

}  // namespace

std::string_view advice(error_kind kind) noexcept {
    switch (kind) {
        case error_kind::no_such_bucket:
            return "The bucket does not exist at this endpoint: check Bucket, Endpoint and Region, or create the "
                   "bucket.";
        case error_kind::access_denied:
            return "Access denied: the policy of the bucket or of the user must allow s3:GetObject, s3:PutObject, "
                   "s3:DeleteObject and s3:ListBucket to these keys (without s3:ListBucket S3 also denies access to "
                   "objects that do not exist).";
        case error_kind::bad_credentials:
            return "The access key is unknown or the secret key is wrong: check AccessKeyID and SecretAccessKey, or "
                   "the environment, profile or role that the keys come from.";
        case error_kind::invalid:
            return "The service refuses the request as malformed: check Endpoint, Bucket and UsePathStyle.";
        case error_kind::malformed_response:
            return "Unexpected response: not an S3 service. Check that Endpoint names the S3 service and not a web "
                   "page or proxy.";
        default:
            return cloud::common_advice(kind);
    }
}

error_kind classify(unsigned http_status, std::string_view code) noexcept {
    return cloud::classify(codes, http_status, code);
}

error make_error(error_kind kind, std::string_view detail) {
    return cloud::make_error(kind, detail, advice(kind));
}

}  // namespace keepstore::s3
