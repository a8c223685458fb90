/// Parses the XML responses of S3 (and of STS) into structs. Every parser takes the whole body and is strict: a
/// truncated, HTML, empty or unexpected body is error_kind::malformed_response, never an empty list; an <Error>
/// document is that error, also inside a 200 (CompleteMultipartUpload and CopyObject send the status before they know
/// the outcome). A boolean, number, date or encoding that is not understood is an error, never a default: a listing
/// that ends early makes blocks look lost. Element names are compared without namespace prefix. Pure functions.
#pragma once

#include "s3/cloud_names.hpp"
#include "s3/error.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::s3 {

/// <Error> of S3, or the one inside <ErrorResponse> of STS.
struct error_document {
    std::string code;
    std::string message;
    std::string region;    ///< The bucket's (AuthorizationHeaderMalformed, PermanentRedirect).
    std::string endpoint;  ///< The bucket's (PermanentRedirect).
    std::string request_id;
};

/// Parses an error document. \returns nullopt if the body is no complete one.
[[nodiscard]] std::optional<error_document> parse_error_document(std::string_view body);

/// Parses a ListBucketResult of ListObjectsV2 or V1. Keys are decoded if its EncodingType is url. A truncated V1 page
/// without NextMarker continues after its last key.
[[nodiscard]] result<list_page> parse_list_page(std::string_view body);

struct copy_result {
    std::string etag;  ///< Without quotes; empty if the service left it out.
    std::optional<sys_seconds> last_modified;
};
/// Parses a CopyObjectResult.
[[nodiscard]] result<copy_result> parse_copy_result(std::string_view body);

/// Parses an InitiateMultipartUploadResult. \returns the upload id.
[[nodiscard]] result<std::string> parse_initiate_multipart(std::string_view body);

/// Parses a CompleteMultipartUploadResult. \returns the ETag without quotes, which some services leave empty.
[[nodiscard]] result<std::string> parse_complete_multipart(std::string_view body);

struct listed_upload {
    std::string key;
    std::string upload_id;
    std::optional<sys_seconds> initiated;
};

struct upload_page {
    std::vector<listed_upload> uploads;
    bool truncated = false;
    std::string next_key;
    std::string next_upload_id;
};
/// Parses a ListMultipartUploadsResult.
[[nodiscard]] result<upload_page> parse_upload_page(std::string_view body);

/// The credentials in a response of STS (AssumeRole, AssumeRoleWithWebIdentity).
struct sts_credentials {
    std::string access_key_id;
    std::string secret_access_key;
    std::string session_token;
    std::optional<sys_seconds> expiration;
};
[[nodiscard]] result<sts_credentials> parse_sts_credentials(std::string_view body);

/// Formats <CompleteMultipartUpload> for these ETags; parts are numbered from 1.
[[nodiscard]] std::string format_complete_multipart(const std::vector<std::string>& etags);

}  // namespace keepstore::s3
