#include "azure/error.hpp"

#include <algorithm>
#include <array>

namespace keepstore::azure {
namespace {

// Codes of Blob storage and those common to all services, sorted. For other codes the HTTP status decides. A blob that
// an account, a lease, a tier or a policy does not let use is access_denied: precondition would say that it was
// changed.
constexpr std::array codes{
    code_row{"AccountBeingCreated", error_kind::server},
    code_row{"AccountIsDisabled", error_kind::access_denied},
    code_row{"AuthenticationFailed", error_kind::bad_credentials},
    code_row{"AuthorizationFailure", error_kind::access_denied},
    code_row{"AuthorizationPermissionMismatch", error_kind::access_denied},
    code_row{"AuthorizationProtocolMismatch", error_kind::access_denied},
    code_row{"AuthorizationResourceTypeMismatch", error_kind::access_denied},
    code_row{"AuthorizationServiceMismatch", error_kind::access_denied},
    code_row{"AuthorizationSourceIPMismatch", error_kind::access_denied},
    code_row{"BlobAlreadyExists", error_kind::precondition},
    code_row{"BlobArchived", error_kind::access_denied},
    code_row{"BlobBeingRehydrated", error_kind::access_denied},
    code_row{"BlobImmutableDueToLegalHold", error_kind::access_denied},
    code_row{"BlobImmutableDueToPolicy", error_kind::access_denied},
    code_row{"BlobNotFound", error_kind::not_found},
    // A copy's source may not be read. The status is the one that reading it gave.
    code_row{"CannotVerifyCopySource", error_kind::access_denied},
    code_row{"ConditionNotMet", error_kind::precondition},
    code_row{"ContainerBeingDeleted", error_kind::no_such_bucket},
    code_row{"ContainerDisabled", error_kind::no_such_bucket},
    code_row{"ContainerNotFound", error_kind::no_such_bucket},
    code_row{"FeatureVersionMismatch", error_kind::unsupported},
    code_row{"InsufficientAccountPermissions", error_kind::access_denied},
    code_row{"InternalError", error_kind::server},
    code_row{"InvalidAuthenticationInfo", error_kind::bad_credentials},
    code_row{"InvalidRange", error_kind::invalid_range},
    code_row{"KeyBasedAuthenticationNotPermitted", error_kind::access_denied},
    code_row{"LeaseIdMismatchWithBlobOperation", error_kind::access_denied},
    code_row{"LeaseIdMissing", error_kind::access_denied},
    code_row{"LeaseLost", error_kind::access_denied},
    code_row{"Md5Mismatch", error_kind::bad_digest},
    code_row{"NoAuthenticationInformation", error_kind::bad_credentials},
    // Like ServerBusy it is the response to a partition that gets too many requests
    // (https://learn.microsoft.com/azure/storage/blobs/scalability-targets).
    code_row{"OperationTimedOut", error_kind::slow_down},
    code_row{"PublicAccessNotPermitted", error_kind::access_denied},
    code_row{"ResourceNotFound", error_kind::not_found},
    code_row{"ServerBusy", error_kind::slow_down},
    code_row{"SourceConditionNotMet", error_kind::precondition},
    code_row{"SystemInUse", error_kind::slow_down},
    code_row{"TooManyRequests", error_kind::slow_down},
    code_row{"UnsupportedHttpVerb", error_kind::unsupported},
};
static_assert(std::ranges::is_sorted(codes, {}, &code_row::code));

}  // namespace

std::string_view advice(error_kind kind) noexcept {
    switch (kind) {
        case error_kind::not_found:
            return "There is no such blob.";
        case error_kind::no_such_bucket:
            return "The container does not exist in this account, or is being deleted: check ContainerName and "
                   "StorageAccountName, or create the container.";
        case error_kind::access_denied:
            return "Access denied: these credentials must allow to read, create, write, delete and list the blobs of "
                   "the container (for an identity: the role Storage Blob Data Contributor), the firewall of the "
                   "account must admit this host, and no lease, archive tier or immutability policy may be in the way.";
        case error_kind::bad_credentials:
            return "The account key, signature or token is not accepted: check StorageAccountName and its key, whether "
                   "the shared access signature has expired, or the machine's managed identity.";
        case error_kind::slow_down:
            return "The service is throttling requests: a passing overload, or the request rate is above the limits of "
                   "the account or of a part of the container.";
        case error_kind::invalid:
            return "The service refuses the request as malformed: check the endpoint, StorageAccountName and "
                   "ContainerName.";
        case error_kind::malformed_response:
            return "Unexpected response: not an Azure Blob service. Check that the endpoint names the Blob service and "
                   "not a web page or proxy.";
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

}  // namespace keepstore::azure
