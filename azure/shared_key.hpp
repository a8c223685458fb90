/// Shared Key authorisation (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key), as Blob
/// storage takes it since version 2015-02-21, in which an empty body has an empty Content-Length:
///
///     METHOD \n Content-Encoding \n Content-Language \n Content-Length \n Content-MD5 \n Content-Type \n Date \n
///     If-Modified-Since \n If-Match \n If-None-Match \n If-Unmodified-Since \n Range \n
///     x-ms-date:...\n x-ms-version:...\n
///     /account/path \n comp:list \n restype:container
///
/// Pure functions.
#pragma once

#include "azure/credentials/authorization.hpp"
#include "cloud/time.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::azure {

/// A request about to be signed. Header names are lower case, each at most once; `x-ms-date` must be among them.
struct unsigned_request {
    std::string_view method;
    std::string_view path;              ///< Encoded, as it is sent; with an emulator it begins with the account, too.
    const cloud::name_values& query;    ///< Not encoded.
    const cloud::name_values& headers;  ///< Without Content-Length.
    std::uint64_t content_length = 0;
};

[[nodiscard]] std::string string_to_sign(const unsigned_request& request, std::string_view account);

/// The version of the protocol: the first in which listings mark names that are encoded, and late enough for Put Blob
/// up to 5,000 MiB.
inline constexpr std::string_view protocol_version = "2021-12-02";

/// What a signature of blob_signature() lets its bearer read.
struct readable_blob {
    std::string_view account;
    std::string_view container;
    std::string_view key;
    cloud::sys_seconds until;
};

/// Returns the query parameters of a service SAS
/// (https://learn.microsoft.com/rest/api/storageservices/create-service-sas) that lets one blob be read. They are a
/// secret.
[[nodiscard]] cloud::name_values blob_signature(const readable_blob& what, const shared_key& key);

/// Returns the value of the header Authorization: "SharedKey account:signature".
[[nodiscard]] std::string authorization_header(const unsigned_request& request, std::string_view account,
                                               const shared_key& key);

}  // namespace keepstore::azure
