/// Buckets in another region of Amazon: which redirects are followed, and which are not.
#include "tests/s3/bucket_fixture.hpp"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;

namespace {

using context_ptr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

/// A TLS server with a certificate that is not trusted.
context_ptr untrusted_tls() {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    X509_set_version(certificate.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    context_ptr out(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    SSL_CTX_use_certificate(out.get(), certificate.get());
    SSL_CTX_use_PrivateKey(out.get(), key.get());
    return out;
}

client_options amazon_options(const stub_service& service, std::string scheme) {
    auto options = stub_options(service);
    options.endpoint = scheme + "://s3.us-east-1.amazonaws.com:" + std::to_string(service.port());
    options.tls_insecure = true;
    for (const auto* host : {"keep.s3.us-east-1.amazonaws.com", "keep.s3.eu-west-1.amazonaws.com",
                             "keep.s3-us-west-2.amazonaws.com", "evil.example"}) {
        options.hosts.emplace_back(host, "127.0.0.1");
    }
    return options;
}

std::string host_of(const seen_request& r) {
    return r.header("host").substr(0, r.header("host").find(':'));
}

}  // namespace

TEST_CASE("at Amazon the host name follows the region", "[s3][client][region]") {
    stub_service service([](const seen_request& r, std::size_t) {
        if (host_of(r) != "keep.s3.eu-west-1.amazonaws.com") {
            return error_reply(301, "PermanentRedirect", "<Region>eu-west-1</Region>");
        }
        return object_reply("content");
    });
    const auto bucket = make_bucket(amazon_options(service, "http"));
    CHECK(run(get_text(bucket, "k")) == std::string("content"));
    CHECK(run(get_text(bucket, "k")) == std::string("content"));
    const auto seen = service.seen();
    REQUIRE(seen.size() == 3);
    CHECK(host_of(seen[0]) == "keep.s3.us-east-1.amazonaws.com");
    CHECK(host_of(seen[2]) == "keep.s3.eu-west-1.amazonaws.com");
    CHECK(seen[2].header("authorization").find("/eu-west-1/s3/") != std::string::npos);
}

TEST_CASE("a temporary redirect inside Amazon is followed for one request, with its body", "[s3][client][region]") {
    const auto tls = untrusted_tls();
    std::string location;
    stub_service service(
        [&](const seen_request& r, std::size_t number) -> stub_reply {
            if (number == 0) return {.status = 307, .headers = {{"Location", location}}};
            if (r.method == "PUT") return {.headers = {{"ETag", stub_etag}}};
            return object_reply("content");
        },
        tls.get());
    const auto port = std::to_string(service.port());
    location = "https://keep.s3-us-west-2.amazonaws.com:" + port + "/k";
    const auto bucket = make_bucket(amazon_options(service, "https"));
    CHECK(run(bucket.put("k", text_body("body"), {}, soon())).has_value());
    CHECK(run(bucket.head("k", soon())).has_value());
    const auto seen = service.seen();
    REQUIRE(seen.size() == 3);
    CHECK(seen[1].header("host") == "keep.s3-us-west-2.amazonaws.com:" + port);
    CHECK(seen[1].target == "/k");
    CHECK(seen[1].body == "body");
    CHECK(host_of(seen[2]) == "keep.s3.us-east-1.amazonaws.com");
}

TEST_CASE("no redirect to another host than Amazon's, or without TLS, is followed", "[s3][client][region]") {
    const auto tls = untrusted_tls();
    for (const auto* where : {"https://evil.example:", "http://keep.s3.eu-west-1.amazonaws.com:",
                              "https://keep.s3.eu-west-1.amazonaws.com.evil.example:"}) {
        CAPTURE(where);
        std::string location;
        stub_service service(
            [&](const seen_request&, std::size_t) {
                return stub_reply{.status = 307, .headers = {{"Location", location}, {"x-amz-request-id", "tx1"}}};
            },
            tls.get());
        location = where + std::to_string(service.port()) + "/k";
        const auto bucket = make_bucket(amazon_options(service, "https"));
        CHECK(kind(run(bucket.put("k", text_body("body"), {}, soon()))) == error_kind::wrong_region);
        CHECK(service.count() == 1);
    }
}

TEST_CASE("a certificate that is not trusted ends the call at once, with advice", "[s3][client]") {
    const auto tls = untrusted_tls();
    stub_service service([](const seen_request&, std::size_t) { return object_reply("content"); }, tls.get());
    auto options = amazon_options(service, "https");
    options.tls_insecure = false;
    const auto bucket = make_bucket(options);
    const auto got = run(bucket.head("k", soon()));
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error() == errc::unavailable);
    CHECK(kind(got) == error_kind::bad_certificate);
    CHECK(got.error().text.find("certificate") != std::string::npos);
    CHECK(service.count() == 0);
    CHECK(service.connections() == 1);
}
