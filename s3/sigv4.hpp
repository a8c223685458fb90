/// AWS Signature Version 4 in the Authorization header, as S3 requires it: the path is encoded once and not normalised,
/// the query is encoded first and then sorted, and the body is represented by its SHA-256 or by UNSIGNED-PAYLOAD. The
/// caller sends the encoded target that is made here, so that the signed strings are the ones that are sent.
///
/// UNSIGNED-PAYLOAD is used for every body that is not tiny, over http as well as https, as the Go daemon does: SHA-256
/// would cost more than all the rest of a PUT (docs/performance.md), and Content-MD5 protects the bytes.
///
/// The free functions are pure. `signer` is safe to call from any thread. The time is a parameter everywhere.
#pragma once

#include "base/sha256.hpp"
#include "s3/cloud_names.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::s3 {

/// SHA-256 of an empty body.
inline constexpr std::string_view empty_payload_hash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
inline constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";

/// A request about to be signed. Header names are lower case; `host` must be among them.
struct unsigned_request {
    std::string_view method;
    std::string_view path;   ///< Encoded, beginning with '/'.
    std::string_view query;  ///< From canonical_query.
    std::span<const std::pair<std::string, std::string>> headers;
    std::string_view payload_hash;
};

/// The signed strings, for tests and for explaining SignatureDoesNotMatch.
struct canonical_form {
    std::string text;            ///< The canonical request.
    std::string signed_headers;  ///< "host;x-amz-date"
};
[[nodiscard]] canonical_form canonical_request(const unsigned_request& request);

/// Returns "20130524T000000Z"; its first 8 characters are the date of a credential scope.
[[nodiscard]] std::string format_signing_time(sys_seconds at);

/// "20130524/us-east-1/s3/aws4_request"
[[nodiscard]] std::string credential_scope(std::string_view date, std::string_view region, std::string_view service);
[[nodiscard]] std::string string_to_sign(std::string_view signing_time, std::string_view scope,
                                         std::string_view canonical);
[[nodiscard]] sha256_digest signing_key(const secret_string& secret, std::string_view date, std::string_view region,
                                        std::string_view service);

/// Signs for one service. Keeps the derived key of the current day, region and secret: four of the five HMACs.
class signer {
  public:
    explicit signer(std::string service = "s3") : service_(std::move(service)) {}

    /// Signs all of `headers`, and adds x-amz-date, x-amz-security-token (for temporary keys), x-amz-content-sha256
    /// (for service s3) and Authorization. Header names in lower case; `host` must be among them.
    /// \param now the time by the service's clock: ours plus the learned skew.
    void sign(std::string_view method, std::string_view path, std::string_view query, name_values& headers,
              std::string_view payload_hash, std::string_view region, const signing_keys& keys, sys_seconds now);

  private:
    [[nodiscard]] sha256_digest key_for(const secret_string& secret, std::string_view date, std::string_view region);

    const std::string service_;

    mutable std::mutex mutex_;
    // Guarded by mutex_: what key_ was derived from, and the key.
    secret_string key_secret_;
    std::string key_date_;
    std::string key_region_;
    sha256_digest key_{};
};

}  // namespace keepstore::s3
