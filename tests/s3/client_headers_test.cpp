/// Responses whose headers say less than those of Amazon: no size with a range, weak ETags.
#include "tests/s3/bucket_fixture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;

TEST_CASE("the size of an object that its ranges do not say is asked for", "[s3][client]") {
    std::string content;
    for (int i = 0; i < 100000; ++i) content += static_cast<char>('a' + i % 23);
    bool has_heads = true;
    std::size_t cut_after = std::string::npos;
    stub_service service([&](const seen_request& r, std::size_t) {
        if (r.method == "HEAD") return has_heads ? object_reply(content) : error_reply(403, "AccessDenied");
        auto reply = without_total(ranged_reply(r, content));
        if (r.header("range") == "bytes=100-" || r.header("range").empty()) reply.cut_after = cut_after;
        return reply;
    });
    const auto bucket = make_bucket(service);
    const get_options end{.range = byte_range{100}};
    const auto heads = [&] {
        return std::ranges::count_if(service.seen(), [](const auto& r) { return r.method == "HEAD"; });
    };
    SECTION("by a HEAD") {
        CHECK(run(get_text(bucket, "k", end)) == content.substr(100));
        CHECK(run(begin_get(bucket, "k", {.range = byte_range{100, 10}}))->info.size == content.size());
        CHECK(heads() == 2);
    }
    SECTION("once, where it is known") {
        CHECK(run(get_text(bucket, "k", {.range = byte_range{100}, .size = content.size()})) == content.substr(100));
        // A connection that breaks is continued by a range.
        cut_after = 50000;
        CHECK(run(get_text(bucket, "k", {})) == content);
        CHECK(heads() == 0);
        CHECK(run(get_text(bucket, "k", end)) == content.substr(100));
        CHECK(heads() == 1);
    }
    SECTION("a range past it is an error") {
        CHECK(kind(run(get_text(bucket, "k", {.range = byte_range{100, 10}, .size = 109}))) ==
              error_kind::malformed_response);
    }
    SECTION("which does not tell it: an error of ranges") {
        has_heads = false;
        CHECK(kind(run(get_text(bucket, "k", end))) == error_kind::unsupported);
        CHECK(run(get_text(bucket, "k", {})) == content);
    }
}

TEST_CASE("a weak ETag is no condition of a request, and is compared with the response", "[s3][client]") {
    const std::string content(5000, 'x');
    std::string etag = "W/\"e\"";
    stub_service service([&](const seen_request& r, std::size_t) {
        if (!r.header("x-amz-copy-source").empty()) {
            return stub_reply{.body = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>"};
        }
        auto reply = ranged_reply(r, content);
        reply.headers[0].second = etag;
        return reply;
    });
    const auto bucket = make_bucket(service);
    const auto validator = run(bucket.head("k", soon()))->validator();
    const get_options end{.range = byte_range{100}, .if_match = validator};
    CHECK(run(get_text(bucket, "k", end)) == content.substr(100));
    CHECK(run(bucket.copy("k", "trash/k", {.if_match = validator}, soon())).has_value());
    etag = "W/\"f\"";
    CHECK(kind(run(get_text(bucket, "k", end))) == error_kind::precondition);
    for (const auto& r : service.seen()) {
        CHECK(r.header("if-match").empty());
        CHECK(r.header("x-amz-copy-source-if-match").empty());
    }
}
