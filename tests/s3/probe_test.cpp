#include "s3/probe.hpp"
#include "tests/s3/memory_service.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using vice = memory_service::vice;

namespace {

struct outcome {
    bool good;
    std::vector<std::string> lines;
    [[nodiscard]] bool has(std::string_view begin) const {
        return std::ranges::any_of(lines, [&](const auto& l) { return l.starts_with(begin); });
    }
    [[nodiscard]] std::string text() const {
        std::string out;
        for (const auto& l : lines) out += l + "\n";
        return out;
    }
};

outcome probe(client_options options, std::shared_ptr<credentials_cache> keys = fixed_keys(),
              probe_extent extent = probe_extent::read_and_write) {
    outcome out{};
    const auto take = [&](const probe_line& line) { out.lines.push_back(to_text(line)); };
    out.good = run(probe_bucket(std::move(options), std::move(keys), extent, take, soon()));
    return out;
}

}  // namespace

TEST_CASE("a working bucket passes every step and is left unchanged", "[s3][probe]") {
    memory_service bucket;
    const auto got = probe(stub_options(bucket.service()));
    INFO(got.text());
    CHECK(got.good);
    for (const auto* step :
         {"ok: address:", "ok: name:", "ok: connection:", "note: clock:", "ok: credentials: from configuration",
          "ok: bucket:", "ok: put:", "ok: get:", "ok: digest:", "ok: condition: the service does not honour",
          "ok: copy:", "ok: delete:", "ok: multipart:"}) {
        CAPTURE(step);
        CHECK(got.has(step));
    }
    CHECK(bucket.objects() == 0);
    CHECK(got.text().find("secret") == std::string::npos);
    CHECK(got.text().find("AKID") == std::string::npos);
}

TEST_CASE("each fault is reported at its step", "[s3][probe]") {
    const std::tuple<vice, const char*> rows[] = {
        {vice::takes_wrong_digest, "FAILED: digest: the service takes a body"},
        {vice::loses_bytes, "FAILED: get: what was read is not what was written"},
        {vice::keeps_deleted, "FAILED: delete: a deleted object is still there"},
        {vice::no_copy, "FAILED: copy: S3 copy: 501 NotImplemented"},
        {vice::denies, "FAILED: put: S3 put: 403 AccessDenied"},
        {vice::denies_delete, "FAILED: delete: S3 delete: 403 AccessDenied"},
    };
    for (const auto& [bad, line] : rows) {
        CAPTURE(line);
        memory_service bucket(bad);
        const auto got = probe(stub_options(bucket.service()));
        INFO(got.text());
        CHECK_FALSE(got.good);
        CHECK(got.has(line));
    }
}

TEST_CASE("an ETag is judged where it has the form of an MD5 and is not of KMS", "[s3][client]") {
    const auto sent = md5_digest::parse("9b2cf535f27731c974343645a3985328").value();
    const std::tuple<const char*, bool, etag_evidence> rows[] = {
        {"9b2cf535f27731c974343645a3985328", false, etag_evidence::confirms},
        {"9B2CF535F27731C974343645A3985328", false, etag_evidence::confirms},
        {"9b2cf535f27731c974343645a3985328", true, etag_evidence::confirms},
        {"d41d8cd98f00b204e9800998ecf8427e", false, etag_evidence::contradicts},
        {"d41d8cd98f00b204e9800998ecf8427e", true, etag_evidence::nothing},
        {"d41d8cd98f00b204e9800998ecf8427e-1", false, etag_evidence::nothing},
        {"0x8D9A5D0F3C1B2A4", false, etag_evidence::nothing},
        {"", false, etag_evidence::nothing}};
    for (const auto& [etag, opaque, evidence] : rows) {
        CAPTURE(etag, opaque);
        CHECK(judge_etag({.etag = etag, .etag_is_opaque = opaque}, sent) == evidence);
    }
}

TEST_CASE("a service whose ETags are no MD5s passes with a note, as the daemon uses it", "[s3][probe]") {
    memory_service bucket(vice::other_etags);
    const auto got = probe(stub_options(bucket.service()));
    INFO(got.text());
    CHECK(got.good);
    CHECK(got.has("note: put: the ETag looks like an MD5 and is another one"));
}

TEST_CASE("keys without s3:ListBucket pass with a note", "[s3][probe]") {
    memory_service bucket(vice::denies_list);
    const auto got = probe(stub_options(bucket.service()));
    INFO(got.text());
    CHECK(got.good);
    CHECK(got.has("note: bucket: these keys may not list it (S3 list: 403 AccessDenied (request "));
    CHECK(got.has("ok: put:"));
    CHECK(got.has("ok: delete: deleted objects are gone"));
    CHECK(got.has("note: multipart: multipart uploads work, but"));
    CHECK(bucket.objects() == 0);
}

TEST_CASE("the probe of a read-only volume writes nothing", "[s3][probe]") {
    const auto refuses_writes = [](bool empty, bool readable) {
        return [=](const seen_request& r, std::size_t) {
            if (r.method != "GET" || r.header("authorization").empty()) return error_reply(403, "AccessDenied");
            if (r.path() != "/keep") {
                if (!readable) return error_reply(403, "AccessDenied");
                stub_reply one_byte{.status = 206, .body = "x"};
                one_byte.headers = {{"Content-Range", "bytes 0-0/3"},
                                    {"ETag", "\"e\""},
                                    {"Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT"}};
                return one_byte;
            }
            const std::string object =
                "<Contents><Key>abc</Key><Size>3</Size><ETag>e</ETag>"
                "<LastModified>2026-11-20T10:00:00.000Z</LastModified></Contents>";
            return stub_reply{.body = "<ListBucketResult><IsTruncated>false</IsTruncated>" +
                                      (empty ? std::string() : object) + "</ListBucketResult>"};
        };
    };
    const auto tried = [&](bool empty, bool readable) {
        const stub_service service(refuses_writes(empty, readable));
        return probe(stub_options(service), fixed_keys(), probe_extent::read_only);
    };
    const auto full = tried(false, true);
    INFO(full.text());
    CHECK(full.good);
    CHECK(full.lines.back() == "ok: get: what is stored can be read");
    CHECK(tried(true, true).lines.back() == "note: get: nothing is stored that could be read");
    const auto denied = tried(false, false);
    CHECK_FALSE(denied.good);
    CHECK(denied.has("FAILED: get: S3 get: 403 AccessDenied"));
}

TEST_CASE("a failure before the bucket step ends the probe", "[s3][probe]") {
    memory_service bucket;
    auto options = stub_options(bucket.service());
    options.endpoint = "ftp://x";
    CHECK(probe(options).has("FAILED: address: Endpoint"));
    options.endpoint.clear();
    options.region.clear();
    CHECK(probe(options).has("FAILED: address: one of Endpoint and Region"));

    options = stub_options(bucket.service());
    options.endpoint = "http://127.0.0.99:" + std::to_string(bucket.service().port());
    CHECK(probe(options).has("FAILED: connection: "));

    credentials_config none;
    none.env = [](std::string_view name) -> std::optional<std::string> {
        return name == "AWS_EC2_METADATA_DISABLED" ? std::optional<std::string>("true") : std::nullopt;
    };
    const auto got = probe(stub_options(bucket.service()), *make_credentials(none));
    CHECK_FALSE(got.good);
    CHECK(got.lines.back().starts_with("FAILED: credentials: no credentials in"));
}

TEST_CASE("a bucket without a host name of its own is distinguished from a wrong endpoint", "[s3][probe]") {
    memory_service bucket;
    auto options = stub_options(bucket.service());
    options.endpoint = "http://s3.invalid:" + std::to_string(bucket.service().port());
    options.hosts = {{"s3.invalid", "127.0.0.1"}};
    const auto got = probe(options);
    INFO(got.text());
    CHECK(got.lines.back().find("set UsePathStyle to true") != std::string::npos);
}

TEST_CASE("a wrong region passes with a note", "[s3][probe]") {
    stub_service moved([](const seen_request& r, std::size_t) {
        if (r.header("authorization").find("/eu-west-1/") == std::string::npos) {
            return error_reply(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>");
        }
        if (r.path() == "/keep")
            return stub_reply{.body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"};
        return error_reply(403, "AccessDenied");
    });
    const auto got = probe(stub_options(moved));
    CHECK(got.has("note: region: the bucket is in eu-west-1, not in us-east-1"));
    CHECK(got.has("FAILED: put: S3 put: 403 AccessDenied"));
}
