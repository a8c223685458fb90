#include "s3/error.hpp"
#include "cloud/transport_error.hpp"
#include "net/client/failure.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using cloud::from_transport;

TEST_CASE("the code decides, and the status where there is no code", "[s3][error]") {
    struct row {
        unsigned status;
        const char* code;
        error_kind kind;
    };
    const row rows[] = {
        {404, "NoSuchKey", error_kind::not_found},
        {404, "", error_kind::not_found},
        {404, "NoSuchBucket", error_kind::no_such_bucket},
        {404, "NoSuchUpload", error_kind::no_such_upload},
        {403, "AccessDenied", error_kind::access_denied},
        {403, "", error_kind::access_denied},
        {403, "InvalidAccessKeyId", error_kind::bad_credentials},
        {403, "SignatureDoesNotMatch", error_kind::bad_credentials},
        // 400 from S3, 401 or 403 from others.
        {400, "ExpiredToken", error_kind::expired_token},
        {400, "InvalidToken", error_kind::expired_token},
        {403, "ExpiredToken", error_kind::expired_token},
        {403, "RequestTimeTooSkewed", error_kind::clock_skew},
        {400, "AuthorizationHeaderMalformed", error_kind::wrong_region},
        {301, "PermanentRedirect", error_kind::wrong_region},
        {301, "", error_kind::wrong_region},
        {307, "", error_kind::wrong_region},
        {503, "SlowDown", error_kind::slow_down},
        {503, "SlowDownWrite", error_kind::slow_down},
        {503, "", error_kind::slow_down},
        {429, "", error_kind::slow_down},
        {409, "OperationAborted", error_kind::slow_down},
        {500, "InternalError", error_kind::server},
        {502, "", error_kind::server},
        {504, "whatever", error_kind::server},
        {520, "", error_kind::server},
        {400, "BadDigest", error_kind::bad_digest},
        {412, "PreconditionFailed", error_kind::precondition},
        {416, "InvalidRange", error_kind::invalid_range},
        {416, "", error_kind::invalid_range},
        {400, "RequestTimeout", error_kind::timeout},
        {408, "", error_kind::timeout},
        {400, "InvalidArgument", error_kind::invalid},
        {400, "", error_kind::invalid},
        {501, "NotImplemented", error_kind::unsupported},
        {405, "", error_kind::unsupported},
    };
    for (const auto& row : rows) {
        CAPTURE(row.status, row.code);
        CHECK(classify(row.status, row.code) == row.kind);
    }
}

TEST_CASE("every kind has a name, an advice and an errc", "[s3][error]") {
    for (int i = 1; i <= static_cast<int>(error_kind::cancelled); ++i) {
        const auto kind = static_cast<error_kind>(i);
        CAPTURE(to_string(kind));
        CHECK_FALSE(to_string(kind).empty());
        CHECK(advice(kind).ends_with("."));
        const auto e = make_error(kind, "S3 get: 400");
        CHECK(kind_of(e) == kind);
        CHECK(e == to_errc(kind));
        CHECK(e.text.starts_with("S3 get: 400: "));
        // Only a missing object is "not found": other errors say nothing about the object.
        CHECK((to_errc(kind) == errc::not_found) == (kind == error_kind::not_found));
    }
}

TEST_CASE("only transient failures are retried", "[s3][error]") {
    for (const auto kind :
         {error_kind::server, error_kind::network, error_kind::timeout, error_kind::malformed_response}) {
        CHECK(classify_retry(kind) == retry_class::transient);
    }
    CHECK(classify_retry(error_kind::slow_down) == retry_class::throttled);
    for (const auto kind :
         {error_kind::not_found, error_kind::no_such_bucket, error_kind::access_denied, error_kind::bad_credentials,
          error_kind::expired_token, error_kind::clock_skew, error_kind::wrong_region, error_kind::precondition,
          error_kind::invalid, error_kind::bad_certificate, error_kind::cancelled}) {
        CHECK(classify_retry(kind) == retry_class::never);
    }
}

TEST_CASE("failures of the HTTP client get a kind and keep their text", "[s3][error]") {
    const std::pair<net::failure, error_kind> rows[] = {
        {net::failure::resolve, error_kind::network},
        {net::failure::connect, error_kind::network},
        {net::failure::certificate, error_kind::bad_certificate},
        {net::failure::no_response, error_kind::network},
        {net::failure::cut_short, error_kind::network},
        {net::failure::malformed, error_kind::malformed_response},
        {net::failure::connect_timeout, error_kind::timeout},
        {net::failure::first_byte_timeout, error_kind::timeout},
        {net::failure::read_timeout, error_kind::timeout},
        {net::failure::deadline_passed, error_kind::timeout},
        {net::failure::cancelled, error_kind::cancelled},
    };
    for (const auto& [failure, kind] : rows) {
        CAPTURE(to_string(failure));
        const auto e = from_transport(error(errc::unavailable, "what happened", make_error_code(failure)));
        CHECK(kind_of(e) == kind);
        CHECK(e.text.starts_with("what happened"));
        // Its text has more advice than the HTTP client has.
        const bool explained = e.text.find("TLS.Insecure is not for S3") != std::string::npos;
        CHECK(explained == (failure == net::failure::certificate));
    }
    const auto own = from_transport(error(errc::bad_request, "mine", make_error_code(net::failure::body_source)));
    CHECK(own == errc::bad_request);
    CHECK(own.text == "mine");
    CHECK(from_transport(error(errc::no_space, "mine")) == errc::no_space);
}
