/// The operations against a service that responds as S3 does.
#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "s3/limits.hpp"
#include "s3/sigv4.hpp"
#include "tests/s3/bucket_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

const auto modified = sys_days{year{2009} / 10 / 12} + 17h + 50min + 3s;

awaitable<result<object_info>> info_of_get(const client& bucket, std::string key) {
    const auto download = co_await bucket.get(std::move(key), {}, soon());
    if (!download) co_return std::unexpected(download.error());
    co_return download->info();
}

}  // namespace

TEST_CASE("head returns size, date, ETag and metadata", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) { return object_reply(std::string(1000, 'x')); });
    const auto bucket = make_bucket(service);
    const auto info = run(bucket.head("abc/d e", soon()));
    REQUIRE(info.has_value());
    CHECK(info->size == 1000);
    CHECK(info->last_modified == modified);
    CHECK(info->etag == "9b2cf535f27731c974343645a3985328");
    CHECK(info->etag_as_md5() == md5_digest::parse("9b2cf535f27731c974343645a3985328"));
    CHECK(info->find_metadata("waypoints") == "AAECAw==");
    CHECK_FALSE(info->find_metadata("other").has_value());

    const auto seen = service.seen().at(0);
    CHECK(seen.method == "HEAD");
    CHECK(seen.target == "/keep/abc/d%20e");
    CHECK(seen.header("host") == "127.0.0.1:" + std::to_string(service.port()));
    CHECK(seen.header("x-amz-content-sha256") == empty_payload_hash);
    CHECK(seen.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKID/"));
    CHECK(seen.header("authorization")
              .find("/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;"
                    "x-amz-date, Signature=") != std::string::npos);
    CHECK(bucket.stats().operations().at("head") == 1);
}

TEST_CASE("get returns the bytes, of the whole object and of ranges", "[s3][client]") {
    std::string content;
    for (int i = 0; i < 5000; ++i) content += static_cast<char>('a' + i % 26);
    stub_service service([&](const seen_request& r, std::size_t) { return ranged_reply(r, content); });
    const auto bucket = make_bucket(service);

    CHECK(run(get_text(bucket, "k")) == content);
    CHECK(run(get_text(bucket, "k", {.range = byte_range{10, 20}})) == content.substr(10, 20));
    CHECK(run(get_text(bucket, "k", {.range = byte_range{4990, 100}})) == content.substr(4990));
    CHECK(run(get_text(bucket, "k", {.range = byte_range{4990}, .if_match = "e"})) == content.substr(4990));
    CHECK(kind(run(get_text(bucket, "k", {.range = byte_range{5000, 1}}))) == error_kind::invalid_range);
    const auto empty = run(get_text(bucket, "k", {.range = byte_range{0, 0}}));
    REQUIRE_FALSE(empty.has_value());
    CHECK(empty.error() == errc::bad_request);

    const auto seen = service.seen();
    CHECK(seen.at(0).header("range").empty());
    CHECK(seen.at(1).header("range") == "bytes=10-29");
    CHECK(seen.at(3).header("range") == "bytes=4990-");
    CHECK(seen.at(3).header("if-match") == "\"e\"");
    CHECK(bucket.stats().bytes_in.value() == 5000 + 20 + 10 + 10);
    CHECK(bucket.stats().errors().at("*smithy.OperationError 416 InvalidRange") == 1);
}

TEST_CASE("a download has its offset in the object", "[s3][client]") {
    const std::string content(3000, 'y');
    stub_service service([&](const seen_request& r, std::size_t) { return ranged_reply(r, content); });
    const auto bucket = make_bucket(service);
    const auto check = [&]() -> awaitable<std::vector<std::uint64_t>> {
        auto got = co_await bucket.get("k", {.range = byte_range{1000, 500}}, soon());
        std::vector<std::byte> buffer(200);
        std::vector<std::uint64_t> out{got->info().size, got->offset(), got->length(), got->remaining()};
        const auto n = co_await got->read_full(buffer);
        out.push_back(*n);
        out.push_back(got->remaining());
        co_return out;
    };
    CHECK(run(check()) == std::vector<std::uint64_t>{3000, 1000, 500, 500, 200, 300});
}

TEST_CASE("a service that ignores Range is detected", "[s3][client]") {
    const std::string content(3000, 'y');
    stub_service service([&](const seen_request&, std::size_t) { return object_reply(content); });
    const auto bucket = make_bucket(service);
    CHECK(kind(run(get_text(bucket, "k", {.range = byte_range{0, 100}}))) == error_kind::unsupported);
    CHECK(run(get_text(bucket, "k", {.range = byte_range{0, content.size()}})) == content);
    CHECK(kind(run(get_text(bucket, "k", {.range = byte_range{1, 100}}))) == error_kind::unsupported);
}

TEST_CASE("put sends the body with its MD5 and metadata, unsigned", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) {
        return stub_reply{.headers = {{"ETag", stub_etag}, {"Date", "Mon, 12 Oct 2009 17:50:03 GMT"}}};
    });
    const auto bucket = make_bucket(service);
    put_options options;
    options.md5 = md5_of_nothing;
    options.metadata = {{"waypoints", "v1;abc"}};
    options.if_absent = true;
    const auto put = run(bucket.put("abc", text_body("hello"), options, soon()));
    REQUIRE(put.has_value());
    CHECK(put->etag == "9b2cf535f27731c974343645a3985328");
    CHECK(put->date == modified);
    const auto seen = service.seen().at(0);
    CHECK(seen.method == "PUT");
    CHECK(seen.body == "hello");
    CHECK(seen.header("content-md5") == "1B2M2Y8AsgTpgAmY7PhCfg==");
    CHECK(seen.header("content-type") == "application/octet-stream");
    CHECK(seen.header("x-amz-meta-waypoints") == "v1;abc");
    CHECK(seen.header("if-none-match") == "*");
    CHECK(seen.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD");
    CHECK(seen.header("authorization").find("content-md5;content-type;host;if-none-match;") != std::string::npos);
    CHECK(bucket.stats().bytes_out.value() == 5);

    REQUIRE(run(bucket.put("recent/abc", {}, {}, soon())).has_value());
    CHECK(service.seen().at(1).header("x-amz-content-sha256") == empty_payload_hash);
    CHECK(service.seen().at(1).header("content-length") == "0");
    CHECK(bucket.stats().operations().at("put") == 2);

    put_options bad;
    bad.metadata = {{"a", "line\r\nx-amz-acl: public-read"}};
    const auto refused = run(bucket.put("abc", {}, bad, soon()));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::bad_request);
    CHECK(service.count() == 2);
}

TEST_CASE("an object is read without ETag, Last-Modified or length in the response", "[s3][client]") {
    using framing = stub_reply::framing;
    std::string content;
    for (int i = 0; i < 100000; ++i) content += static_cast<char>('a' + i % 23);
    for (const auto ends : {framing::length, framing::chunked, framing::until_close}) {
        for (const bool head_has_length : {true, false}) {
            for (const std::string without : {"", "ETag", "Last-Modified", "both"}) {
                CAPTURE(int(ends), head_has_length, without);
                stub_service service([&](const seen_request& r, std::size_t) {
                    auto reply = ranged_reply(r, content);
                    std::erase_if(reply.headers, [&](const auto& h) {
                        return h.first == without ||
                               (without == "both" && (h.first == "ETag" || h.first == "Last-Modified"));
                    });
                    reply.ends = r.method == "HEAD" && head_has_length ? framing::length : ends;
                    return reply;
                });
                const auto bucket = make_bucket(service);
                CHECK(run(get_text(bucket, "k")) == content);
                CHECK(service.count() == (ends == framing::length ? 1 : 3));
                CHECK(run(get_text(bucket, "k", {.range = byte_range{10, 2000}})) == content.substr(10, 2000));
                CHECK(run(get_text(bucket, "k", {.range = byte_range{99990, {}}})) == content.substr(99990));
                const auto info = run(info_of_get(bucket, "k"));
                REQUIRE(info.has_value());
                CHECK(info->size == content.size());
                CHECK(info->size_is_certain == (ends != framing::until_close || head_has_length));
            }
        }
    }
}

TEST_CASE("a download without ETag or length resumes where its connection broke", "[s3][client]") {
    using framing = stub_reply::framing;
    std::string content;
    for (int i = 0; i < 100000; ++i) content += static_cast<char>('a' + i % 23);
    bool cut = false;
    stub_service service([&](const seen_request& r, std::size_t) {
        auto reply = ranged_reply(r, content);
        std::erase_if(reply.headers, [](const auto& h) { return h.first == "ETag"; });
        if (r.method != "HEAD") reply.ends = framing::chunked;
        // The first one tells only that there is no length.
        if (r.method == "GET" && r.header("range").empty() && std::exchange(cut, true)) reply.cut_after = 30000;
        return reply;
    });
    const auto bucket = make_bucket(service);
    CHECK(run(get_text(bucket, "k")) == content);
    CHECK(service.seen().back().header("range").starts_with("bytes="));
    CHECK(service.seen().back().header("if-match").empty());
}

TEST_CASE("a HEAD without Last-Modified is an error, since ages depend on it", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) {
        auto reply = object_reply("x");
        std::erase_if(reply.headers, [](const auto& h) { return h.first == "Last-Modified"; });
        return reply;
    });
    CHECK(kind(run(make_bucket(service).head("k", soon()))) == error_kind::malformed_response);
}

TEST_CASE("a put without an ETag in the response is an error", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) { return stub_reply{}; });
    const auto bucket = make_bucket(service);
    const auto put = run(bucket.put("abc", text_body("hello"), {}, soon()));
    CHECK(kind(put) == error_kind::malformed_response);
    CHECK(service.count() == limits::cloud_attempts_max);
}

TEST_CASE("copy names its source and can replace the metadata", "[s3][client]") {
    stub_service service([](const seen_request& r, std::size_t) {
        if (r.target == "/keep/missing") return error_reply(404, "NoSuchKey");
        return stub_reply{
            .body =
                "<CopyObjectResult><LastModified>2009-10-12T17:50:03.000Z</LastModified><ETag>\"e\"</ETag>"
                "</CopyObjectResult>"};
    });
    const auto bucket = make_bucket(service);
    auto copied = run(
        bucket.copy("abc/d e", "trash/abc", {.replace_metadata = name_values{{"k", "v"}}, .if_match = "e"}, soon()));
    REQUIRE(copied.has_value());
    CHECK(copied->last_modified == modified);
    CHECK(copied->etag == "e");
    const auto seen = service.seen().at(0);
    CHECK(seen.method == "PUT");
    CHECK(seen.target == "/keep/trash/abc");
    CHECK(seen.header("x-amz-copy-source") == "/keep/abc/d%20e");
    CHECK(seen.header("x-amz-metadata-directive") == "REPLACE");
    CHECK(seen.header("x-amz-copy-source-if-match") == "\"e\"");
    CHECK(seen.header("x-amz-meta-k") == "v");
    REQUIRE(run(bucket.copy("a", "b", {}, soon())).has_value());
    CHECK(service.seen().at(1).header("x-amz-metadata-directive").empty());
    const auto missing = run(bucket.copy("a", "missing", {}, soon()));
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error() == errc::not_found);
    CHECK(bucket.stats().other_operations().at("copy") == 3);
    CHECK(bucket.stats().operations().at("put") == 0);
}

TEST_CASE("copy takes its source from another bucket", "[s3][client]") {
    stub_service service([](const seen_request& r, std::size_t) {
        if (r.header("x-amz-copy-source").starts_with("/no%20bucket/")) return error_reply(404, "NoSuchBucket");
        return stub_reply{.body = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>"};
    });
    const auto bucket = make_bucket(service);
    REQUIRE(run(bucket.copy("abc/d", "d", {.from_bucket = "other", .if_match = "e"}, soon())).has_value());
    const auto seen = service.seen().at(0);
    CHECK(seen.target == "/keep/d");
    CHECK(seen.header("x-amz-copy-source") == "/other/abc/d");
    CHECK(seen.header("x-amz-copy-source-if-match") == "\"e\"");
    CHECK(kind(run(bucket.copy("d", "d", {.from_bucket = "no bucket"}, soon()))) == error_kind::no_such_bucket);
}

TEST_CASE("a put replaces an object only if it still has the expected ETag", "[s3][client]") {
    bool bucket_exists = true;
    stub_service service([&](const seen_request& r, std::size_t) {
        if (r.method == "HEAD") return stub_reply{.status = bucket_exists ? 200U : 404U};
        if (r.target == "/keep/gone") return stub_reply{.status = 404};
        if (r.header("if-match") == "\"old\"") return error_reply(412, "PreconditionFailed");
        return stub_reply{.headers = {{"ETag", stub_etag}}};
    });
    const auto bucket = make_bucket(service);
    put_options options;
    options.if_match = "abc";
    CHECK(run(bucket.put("k", text_body("x"), options, soon())).has_value());
    CHECK(service.seen().back().header("if-match") == "\"abc\"");
    CHECK(service.seen().back().header("if-none-match").empty());
    options.if_match_form = put_options::etag_form::bare;
    CHECK(run(bucket.put("k", text_body("x"), options, soon())).has_value());
    CHECK(service.seen().back().header("if-match") == "abc");
    options = {};
    CHECK(run(bucket.put("k", text_body("x"), options, soon())).has_value());
    CHECK(service.seen().back().header("if-match").empty());

    options.if_match = "old";
    const auto before = service.count();
    CHECK(kind(run(bucket.put("k", text_body("x"), options, soon()))) == error_kind::precondition);
    CHECK(service.count() == before + 1);
    CHECK(kind(run(bucket.put("gone", text_body("x"), options, soon()))) == error_kind::not_found);
    bucket_exists = false;
    const auto nowhere = make_bucket(service);
    CHECK(kind(run(nowhere.put("gone", text_body("x"), options, soon()))) == error_kind::no_such_bucket);
}

TEST_CASE("delete succeeds for a missing object, but not in a missing bucket", "[s3][client]") {
    stub_service service([](const seen_request& r, std::size_t) {
        if (r.target == "/keep/a") return stub_reply{.status = 204};
        if (r.target == "/keep/b") return error_reply(404, "NoSuchKey");
        return error_reply(404, "NoSuchBucket");
    });
    const auto bucket = make_bucket(service);
    CHECK(run(bucket.del("a", soon())).has_value());
    CHECK(run(bucket.del("b", soon())).has_value());
    const auto gone = run(bucket.del("c", soon()));
    REQUIRE_FALSE(gone.has_value());
    CHECK(gone.error() == errc::unavailable);
    CHECK(kind(gone) == error_kind::no_such_bucket);
}

TEST_CASE("list requests V2 pages, or V1 pages", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) {
        return stub_reply{.body =
                              "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>1</Size>"
                              "<LastModified>2009-10-12T17:50:03.000Z</LastModified></Contents>"
                              "<NextMarker>m</NextMarker></ListBucketResult>"};
    });
    auto options = stub_options(service);
    const auto v2 = make_bucket(options);
    const auto page = run(v2.list({.prefix = "recent/ab", .start_after = "x y", .keys_max = 7}, soon()));
    REQUIRE(page.has_value());
    CHECK(page->objects.at(0).key == "a");
    CHECK(page->next == "m");
    CHECK(run(v2.list({.token = "t/+="}, soon())).has_value());
    options.list_v1 = true;
    const auto v1 = make_bucket(options);
    CHECK(run(v1.list({.token = "l"}, soon())).has_value());
    const auto seen = service.seen();
    CHECK(seen.at(0).target == "/keep?encoding-type=url&list-type=2&max-keys=7&prefix=recent%2Fab&start-after=x%20y");
    CHECK(seen.at(1).target ==
          "/keep?continuation-token=t%2F%2B%3D&encoding-type=url&list-type=2&max-keys=1000&prefix=");
    CHECK(seen.at(2).target == "/keep?encoding-type=url&marker=l&max-keys=1000&prefix=");
    CHECK(v2.stats().operations().at("list") == 2);
}

TEST_CASE("multipart uploads are created, filled, completed, listed and aborted", "[s3][client]") {
    stub_service service([](const seen_request& r, std::size_t) -> stub_reply {
        if (r.method == "POST" && r.target == "/keep/k?uploads=") {
            return {.body = "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>"};
        }
        if (r.method == "PUT") return {.headers = {{"ETag", stub_etag}}};
        if (r.method == "POST") {
            return {.body = "  <CompleteMultipartUploadResult><ETag>\"x-2\"</ETag></CompleteMultipartUploadResult>"};
        }
        if (r.method == "GET") {
            return {.body =
                        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>k</Key>"
                        "<UploadId>u/1</UploadId></Upload></ListMultipartUploadsResult>"};
        }
        return error_reply(404, "NoSuchUpload");
    });
    const auto bucket = make_bucket(service);
    CHECK(run(bucket.create_multipart("k", {.metadata = {{"a", "b"}}}, soon())) == std::string("u/1"));
    CHECK(run(bucket.upload_part("k", "u/1", 2, text_body("part"), md5_of_nothing, soon()))->etag ==
          "9b2cf535f27731c974343645a3985328");
    CHECK(run(bucket.complete_multipart("k", "u/1", {"e1", "e2"}, soon())) == std::string("x-2"));
    CHECK(run(bucket.list_uploads("k", "after", "id", soon()))->uploads.at(0).upload_id == "u/1");
    CHECK(run(bucket.abort_multipart("k", "u/1", soon())).has_value());
    const auto seen = service.seen();
    CHECK(seen.at(0).header("x-amz-meta-a") == "b");
    CHECK(seen.at(1).target == "/keep/k?partNumber=2&uploadId=u%2F1");
    CHECK(seen.at(1).header("content-md5") == "1B2M2Y8AsgTpgAmY7PhCfg==");
    CHECK(seen.at(2).target == "/keep/k?uploadId=u%2F1");
    CHECK(seen.at(2).body.find("<PartNumber>2</PartNumber><ETag>\"e2\"</ETag>") != std::string::npos);
    CHECK(seen.at(2).header("x-amz-content-sha256") == to_hex(sha256(seen.at(2).body)));
    CHECK(seen.at(3).target == "/keep?encoding-type=url&key-marker=after&prefix=k&upload-id-marker=id&uploads=");
    CHECK(seen.at(4).method == "DELETE");
}

TEST_CASE("in virtual-hosted style the bucket is in the host name", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) { return object_reply("x"); });
    auto options = stub_options(service);
    options.endpoint = "http://s3.example:" + std::to_string(service.port());
    options.hosts = {{"keep.s3.example", "127.0.0.1"}};
    const auto bucket = make_bucket(options);
    REQUIRE(run(bucket.head("abc", soon())).has_value());
    CHECK(service.seen().at(0).target == "/abc");
    CHECK(service.seen().at(0).header("host") == "keep.s3.example:" + std::to_string(service.port()));
}

TEST_CASE("large bodies are sent with Expect: 100-continue if so configured", "[s3][client]") {
    stub_service service([](const seen_request&, std::size_t) { return stub_reply{.headers = {{"ETag", stub_etag}}}; });
    auto options = stub_options(service);
    options.expect_continue_bytes_min = 6;
    const auto bucket = make_bucket(options);
    REQUIRE(run(bucket.put("a", text_body("small"), {}, soon())).has_value());
    REQUIRE(run(bucket.put("a", text_body("larger"), {}, soon())).has_value());
    CHECK(service.seen().at(0).header("expect").empty());
    CHECK(service.seen().at(1).header("expect") == "100-continue");
    CHECK(service.seen().at(1).body == "larger");
}

TEST_CASE("options that cannot work are refused", "[s3][client]") {
    client_options options;
    options.bucket = "keep";
    auto made = client::make(options, fixed_keys());
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().text == "one of Endpoint and Region must be given");
    options.endpoint = "http://127.0.0.1:1";
    CHECK(client::make(options, fixed_keys()).value().region() == "us-east-1");
    options.ca_file = "/nonexistent/ca.pem";
    options.endpoint = "https://127.0.0.1:1";
    CHECK_FALSE(client::make(options, fixed_keys()).has_value());
}
