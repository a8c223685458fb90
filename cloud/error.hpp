/// Errors of object stores on two levels: `error_kind` is what happened, in terms of the protocol; `errc`
/// (base/error.hpp) is what the caller can do about it. Operations return base's `result<T>`; `error::cause` has the
/// kind, which a driver reads with `kind_of(e)`, while all layers above compare with errc alone. One set of kinds for
/// S3 and Azure, so that drivers share what reacts to them; which response is which kind, and the advice for the
/// operator where it names configuration keys, is the business of s3/error.hpp and azure/error.hpp.
///
/// A missing bucket or container, wrong keys or a wrong clock are never `errc::not_found`: they say nothing about the
/// object.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace keepstore::cloud {

enum class error_kind {
    not_found = 1,       ///< There is no such object, in a bucket that is known to exist.
    no_such_bucket,      ///< The bucket or container does not exist at this endpoint, or is being deleted.
    no_such_upload,      ///< The multipart upload was completed, aborted or expired.
    access_denied,       ///< The keys are known and not allowed to do this.
    bad_credentials,     ///< Unknown key or wrong secret; or no credentials could be found at all.
    expired_token,       ///< Temporary credentials have expired.
    clock_skew,          ///< Our clock and the service's differ by more than 15 minutes.
    wrong_region,        ///< The bucket is in another region than the request was signed for or sent to.
    slow_down,           ///< Throttled: 503 SlowDown, 503 ServerBusy, 429 and their many spellings.
    server,              ///< The service failed: 500, 502, 504, InternalError.
    bad_digest,          ///< The body that the service received does not match Content-MD5.
    precondition,        ///< If-None-Match, If-Match: the condition does not hold.
    invalid_range,       ///< 416: the range begins at or past the end of the object.
    invalid,             ///< The request is malformed; repeating it is of no use.
    unsupported,         ///< 501 or 405: the service does not implement this.
    malformed_response,  ///< Not a response of the service: truncated XML, HTML from a proxy, a success without its
                         ///< fields.
    network,             ///< No connection, a reset, a connection closed in mid-response.
    bad_certificate,     ///< TLS certificate verification failed, or the peer does not speak TLS.
    timeout,             ///< No response in time.
    cancelled,           ///< The caller was cancelled.
};

/// Returns the name as in logs ("slow_down").
[[nodiscard]] std::string_view to_string(error_kind kind) noexcept;

/// Returns one sentence for the operator, true for every service: what it means and what to do.
[[nodiscard]] std::string_view common_advice(error_kind kind) noexcept;

/// Returns what the callers of the client can do about it.
[[nodiscard]] errc to_errc(error_kind kind) noexcept;

/// How an attempt that failed with an error of this kind is retried (cloud/retry.hpp).
enum class retry_class {
    never,      ///< The same request would fail again.
    transient,  ///< Network, timeouts, 5xx: again after a short random wait.
    throttled,  ///< The service is throttling: again after a longer wait.
};
[[nodiscard]] retry_class classify_retry(error_kind kind) noexcept;

/// Returns the kind for a status without a code that is known. Not for a 2xx.
[[nodiscard]] error_kind classify_status(unsigned http_status) noexcept;

/// A code in the body of a service's errors, and the kind that it is.
struct code_row {
    std::string_view code;
    error_kind kind;
};
/// Returns the kind of a response: by its code if the table has it, else by its status. `codes` is sorted by code.
[[nodiscard]] error_kind classify(std::span<const code_row> codes, unsigned http_status,
                                  std::string_view code) noexcept;

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] std::error_code make_error_code(error_kind kind) noexcept;

/// Makes an error with this kind as its cause. Its text is `detail` (a code with its request id, never a key or a
/// secret; may be empty), then `advice`.
[[nodiscard]] error make_error(error_kind kind, std::string_view detail, std::string_view advice);

/// Makes an error of a source of credentials, with the common advice.
[[nodiscard]] error credential_error(error_kind kind, std::string_view detail);

/// Returns the kind of an error made here; for other errors the nearest one.
[[nodiscard]] error_kind kind_of(const error& e) noexcept;

}  // namespace keepstore::cloud

template <>
struct std::is_error_code_enum<keepstore::cloud::error_kind> : std::true_type {};
