/// What the client sends, and what it takes for success.
#include "azure/credentials/managed_identity.hpp"
#include "azure/limits.hpp"
#include "base/hex.hpp"
#include "tests/azure/container_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;

namespace {

const std::string hello_md5 = "XUFAKrxLKna5cZ2REBfFkg==";  // Of "hello".

put_options checked(std::string_view hex = "5d41402abc4b2a76b9719d911017c592") {
    put_options out;
    out.md5 = md5_digest::parse(hex);
    return out;
}

stub_reply page_reply(const std::string& names, const std::string& marker = "") {
    std::string blobs;
    for (const char name : names) {
        blobs += std::string("<Blob><Name>") + name + "</Name><Properties><Last-Modified>" + stub_modified +
                 "</Last-Modified><Etag>0x1</Etag><Content-Length>1</Content-Length></Properties></Blob>";
    }
    return {.body = "<EnumerationResults><Blobs>" + blobs + "</Blobs><NextMarker>" + marker +
                    "</NextMarker></EnumerationResults>",
            .headers = {{"x-ms-request-id", "rq1"}}};
}

}  // namespace

TEST_CASE("a put is one request with digest, metadata and condition", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t) { return changed_reply(); });
    const auto container = make_container(service);
    auto options = checked();
    options.metadata = {{"waypoints", "AAEC"}, {"trash_at", "12"}};
    options.only.if_absent = true;
    const auto stored = run(container.put("a b/c", text_body("hello"), options, soon()));
    REQUIRE(stored.has_value());
    CHECK(stored->etag == "0x8D9F0A2B3C4D5E6");
    CHECK(stored->last_modified == cloud::parse_http_date(stub_modified));
    REQUIRE(service.count() == 1);
    const auto sent = service.seen().front();
    CHECK(sent.method == "PUT");
    CHECK(sent.target == "/acct/keep/a%20b/c");
    CHECK(sent.body == "hello");
    CHECK(sent.header("content-md5") == hello_md5);
    CHECK(sent.header("content-type") == "application/octet-stream");
    CHECK(sent.header("x-ms-blob-type") == "BlockBlob");
    CHECK(sent.header("x-ms-meta-waypoints") == "AAEC");
    CHECK(sent.header("x-ms-meta-trash_at") == "12");
    CHECK(sent.header("if-none-match") == "*");
    CHECK(sent.header("x-ms-version") == "2021-12-02");
    CHECK(sent.header("authorization").starts_with("SharedKey acct:"));
    CHECK(container.stats().operations().at("create") == 1);
    CHECK(container.stats().bytes_out.value() == 5);
}

TEST_CASE("conditions are sent as headers", "[azure][client]") {
    const stub_service service(
        [](const seen_request& r, std::size_t) { return changed_reply(r.method == "DELETE" ? 202 : 200); });
    const auto container = make_container(service);
    const condition both{.if_match = "0x1", .if_unmodified_since = cloud::parse_http_date(stub_modified)};
    CHECK(run(container.set_metadata("k", {{"a", "1"}}, both, soon())).has_value());
    CHECK(run(container.del("k", both, soon())).has_value());
    for (const auto& sent : service.seen()) {
        CHECK(sent.header("if-match") == "\"0x1\"");
        CHECK(sent.header("if-unmodified-since") == stub_modified);
    }
    CHECK(service.seen().at(0).target == "/acct/keep/k?comp=metadata");
    CHECK(service.seen().at(0).header("x-ms-meta-a") == "1");
    CHECK(service.seen().at(1).method == "DELETE");
    CHECK(service.seen().at(1).header("x-ms-delete-snapshots") == "include");
}

TEST_CASE("metadata that Azure refuses is refused before it is sent", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t) { return changed_reply(); });
    const auto container = make_container(service);
    const name_values bad[] = {{{"with-dash", "1"}},
                               {{"1st", "1"}},
                               {{"Upper", "1"}},
                               {{"", "1"}},
                               {{"a", "\n"}},
                               {{"a", " 1"}},
                               {{"a", "1 "}},
                               {{"a", "\xc3\xa4"}},
                               {{"a", "1\r\nx: y"}},
                               {{"a.b", "1"}},
                               {{"a", std::string(8192, 'x')}}};
    for (const auto& metadata : bad) {
        const auto refused = run(container.set_metadata("k", metadata, {}, soon()));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error() == errc::bad_request);
    }
    CHECK(service.count() == 0);
}

TEST_CASE("a head tells size, times, digest and metadata", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t) {
        auto reply = blob_reply("hello");
        reply.headers.emplace_back("Content-MD5", hello_md5);
        return reply;
    });
    const auto info = run(make_container(service).head("k", soon()));
    REQUIRE(info.has_value());
    CHECK(info->size == 5);
    CHECK(info->etag == "0x8D9F0A2B3C4D5E6");
    CHECK(info->content_md5->hex() == "5d41402abc4b2a76b9719d911017c592");
    CHECK(info->find_metadata("waypoints") == "AAECAw==");
    CHECK(service.seen().front().method == "HEAD");
}

TEST_CASE("a range is read under a condition, with the digest of the whole blob", "[azure][client]") {
    const std::string content = "0123456789";
    const stub_service service([&](const seen_request& r, std::size_t) {
        auto reply = ranged_blob_reply(r, content);
        // Of the range, should a service send it.
        reply.headers.emplace_back("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==");
        reply.headers.emplace_back("x-ms-blob-content-md5", hello_md5);
        return reply;
    });
    const auto container = make_container(service);
    const auto download = run(begin_get(container, "k", {.range = byte_range{2, 3}, .if_match = "0x8D9F0A2B3C4D5E6"}));
    REQUIRE(download.has_value());
    CHECK(download->offset == 2);
    CHECK(download->length == 3);
    CHECK(download->info.size == 10);
    CHECK(download->info.content_md5->hex() == "5d41402abc4b2a76b9719d911017c592");
    CHECK(service.seen().front().header("range") == "bytes=2-4");
    CHECK(service.seen().front().header("if-match") == "\"0x8D9F0A2B3C4D5E6\"");
    CHECK(run(get_text(container, "k", {.range = byte_range{2, 3}})).value() == "234");
    CHECK(run(get_text(container, "k")).value() == content);
    CHECK(kind(run(get_text(container, "k", {.range = byte_range{10, 1}}))) == error_kind::invalid_range);
    CHECK(container.stats().operations().at("get_range") == 3);
    CHECK(container.stats().operations().at("get") == 1);
    CHECK(container.stats().bytes_in.value() == 13);
}

TEST_CASE("an empty 206 is a range past the end", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t) {
        auto reply = blob_reply("", 206);
        reply.headers.emplace_back("Content-Range", "bytes 5-4/5");
        return reply;
    });
    CHECK(kind(run(get_text(make_container(service), "k", {.range = byte_range{5, 1}}))) == error_kind::invalid_range);
    CHECK(service.count() == 1);
}

TEST_CASE("blocks are stored by their ids and make a blob", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t) { return changed_reply(); });
    const auto container = make_container(service);
    CHECK(run(container.put_block("k", "part 1", text_body("hello"), checked().md5, soon())).has_value());
    auto options = checked();
    options.metadata = {{"a", "1"}};
    options.only.if_match = "0x1";
    CHECK(run(container.put_block_list("k", {"part 1", "part 2"}, options, soon())).has_value());
    const auto block = service.seen().at(0);
    CHECK(block.target == "/acct/keep/k?blockid=cGFydCAx&comp=block");
    CHECK(block.header("content-md5") == hello_md5);
    const auto list = service.seen().at(1);
    CHECK(list.target == "/acct/keep/k?comp=blocklist");
    CHECK(list.header("x-ms-blob-content-md5") == hello_md5);
    CHECK(list.header("content-md5").empty());
    CHECK(list.header("x-ms-blob-content-type") == "application/octet-stream");
    CHECK(list.header("if-match") == "\"0x1\"");
    CHECK(list.body.contains("<Latest>cGFydCAx</Latest><Latest>cGFydCAy</Latest>"));
    // A list of blocks is no data.
    CHECK(container.stats().bytes_out.value() == 5);
}

TEST_CASE("a listing continues with its marker, also after an empty page", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t number) {
        if (number == 0) return page_reply("ab", "m1");
        if (number == 1) return page_reply("", "m2");
        return page_reply("c");
    });
    const auto container = make_container(service);
    list_options where{.prefix = "x y", .keys_max = 2};
    std::string names;
    while (true) {
        const auto page = run(container.list(where, soon()));
        REQUIRE(page.has_value());
        for (const auto& object : page->objects) names += object.key;
        if (!page->truncated) break;
        where.continue_after(*page);
    }
    CHECK(names == "abc");
    CHECK(service.seen().at(0).target ==
          "/acct/keep?comp=list&include=metadata&maxresults=2&prefix=x%20y&restype=container");
    CHECK(service.seen().at(2).target ==
          "/acct/keep?comp=list&include=metadata&marker=m2&maxresults=2&prefix=x%20y&restype=container");
}

TEST_CASE("a listing that does not advance is an error", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t number) {
        if (number == 0) return page_reply("ab", "m1");
        if (number == 1) return page_reply("ab", "m2");
        if (number == 2) return page_reply("cd", "m1");
        if (number == 3) return page_reply("", "m3");
        return page_reply("bc", "m4");
    });
    const auto container = make_container(service);
    list_options where;
    where.continue_after(*run(container.list(where, soon())));
    CHECK(kind(run(container.list(where, soon()))) == error_kind::unsupported);  // The same names.
    CHECK(kind(run(container.list(where, soon()))) == error_kind::unsupported);  // The same marker.
    where.continue_after(*run(container.list(where, soon())));
    CHECK(kind(run(container.list(where, soon()))) == error_kind::unsupported);  // A name from before an empty page.
}

namespace {

/// Claims a size, and fails when its bytes are asked for.
class claimed_body final : public net::body_source {
  public:
    explicit claimed_body(std::uint64_t size) : size_(size) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    [[nodiscard]] awaitable<result<const_slice>> next() override { co_return fail(errc::io_error, "asked"); }
    [[nodiscard]] bool rewind() override { return false; }

  private:
    const std::uint64_t size_;
};

}  // namespace

TEST_CASE("more than the service stores by one request is refused before it is sent", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t) { return changed_reply(); });
    const auto container = make_container(service);
    const auto outcome = [&](std::uint64_t size) {
        claimed_body body(size);
        return run(container.put("k", {.source = &body}, {}, soon()));
    };
    const auto refused = outcome(limits::azure_put_bytes_max + 1);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::too_large);
    CHECK(container.stats().operations().at("create") == 0);
    const auto sent = outcome(limits::azure_put_bytes_max);
    REQUIRE_FALSE(sent.has_value());
    CHECK(sent.error() != errc::too_large);
}

TEST_CASE("the body of a large put waits for the service's consent", "[azure][client]") {
    const stub_service service([](const seen_request&, std::size_t) { return changed_reply(); });
    auto options = stub_options(service);
    options.expect_continue_bytes_min = 5;
    const auto container = make_container(options);
    CHECK(run(container.put("k", text_body("hello"), {}, soon())).has_value());
    CHECK(run(container.put("k", text_body("hell"), {}, soon())).has_value());
    CHECK(run(container.put_block("k", "1", text_body("hello"), std::nullopt, soon())).has_value());
    CHECK(run(container.put_block_list("k", {"1"}, {}, soon())).has_value());
    const std::string expected[] = {"100-continue", "", "100-continue", ""};
    for (std::size_t i = 0; i < 4; ++i) {
        CAPTURE(i);
        CHECK(service.seen().at(i).header("expect") == expected[i]);
    }
}

TEST_CASE("a shared access signature is sent in the query and shown nowhere", "[azure][client]") {
    const stub_service service([](const seen_request& r, std::size_t) {
        return r.method == "HEAD" ? blob_reply("x") : azure_error(403, "AuthenticationFailed");
    });
    const auto container =
        make_container(stub_options(service), *parse_sas("?sv=2021-12-02&sp=rw&sig=S3cret%2B%2F%3D"));
    CHECK(run(container.head("k", soon())).has_value());
    CHECK(service.seen().front().target == "/acct/keep/k?sig=S3cret%2B%2F%3D&sp=rw&sv=2021-12-02");
    CHECK(service.seen().front().header("authorization").empty());
    const auto denied = run(container.list({}, soon()));
    REQUIRE_FALSE(denied.has_value());
    CHECK(kind(denied) == error_kind::bad_credentials);
    CHECK_FALSE(denied.error().text.contains("S3cret"));
}

namespace {

stub_reply copied_reply(const std::string& status = "success") {
    auto reply = changed_reply(202);
    reply.headers.emplace_back("x-ms-copy-status", status);
    return reply;
}

}  // namespace

TEST_CASE("a copy names its source, with what lets it be read", "[azure][client][copy]") {
    const stub_service service([](const seen_request&, std::size_t) { return copied_reply(); });
    const auto target = make_container(service);
    auto there = stub_options(service);
    there.account = "other";
    there.container = "from";
    there.now = [] { return std::chrono::sys_days(std::chrono::year(2030) / 1 / 1); };
    const auto copy_of = [&](const authorization& how) {
        const auto done = run(
            target.copy(make_container(there, how), "k", "to/k", {.if_match = "0x1", .md5 = checked().md5}, soon()));
        REQUIRE(done.has_value());
        CHECK(done->etag == "0x8D9F0A2B3C4D5E6");
        const auto sent = service.seen().back();
        CHECK(sent.method == "PUT");
        CHECK(sent.target == "/acct/keep/to/k");
        CHECK(sent.header("x-ms-requires-sync") == "true");
        CHECK(sent.header("x-ms-source-if-match") == "\"0x1\"");
        CHECK(sent.header("x-ms-source-content-md5") == hello_md5);
        CHECK(sent.header("authorization").starts_with("SharedKey acct:"));
        return std::pair(sent.header("x-ms-copy-source"), sent.header("x-ms-copy-source-authorization"));
    };
    const auto [url, none] = copy_of(account_key());
    CHECK(url.starts_with(service.url() + "/other/from/k?se=2030-01-01T00%3A30%3A00Z&sig="));
    CHECK(url.ends_with("&sp=r&sr=b&sv=2021-12-02"));
    CHECK(none.empty());
    CHECK(copy_of(*parse_sas("sv=1&sig=S3cret%2B")) ==
          std::pair(service.url() + "/other/from/k?sig=S3cret%2B&sv=1", std::string()));
    CHECK(copy_of(counting_tokens()) == std::pair(service.url() + "/other/from/k", std::string("Bearer T0")));
}

TEST_CASE("a copy that has not ended, or is refused, is none", "[azure][client][copy]") {
    const stub_service service([](const seen_request&, std::size_t number) {
        if (number == 0) return copied_reply("pending");
        if (number == 1) return changed_reply(202);
        if (number == 2) return azure_error(404, "CannotVerifyCopySource");
        if (number == 3) return azure_error(400, "Md5Mismatch");
        if (number == 4) return azure_error(412, "SourceConditionNotMet");
        return azure_error(404, "BlobNotFound");
    });
    auto options = stub_options(service);
    options.retry.attempts_max = 1;
    const auto container = make_container(options);
    for (const auto expected :
         {error_kind::malformed_response, error_kind::malformed_response, error_kind::access_denied,
          error_kind::bad_digest, error_kind::precondition, error_kind::not_found}) {
        const auto done = run(container.copy(container, "a", "b", {}, soon()));
        REQUIRE_FALSE(done.has_value());
        CHECK(to_string(kind(done)) == to_string(expected));
        CHECK_FALSE(done.error().text.contains("sig="));
    }
    CHECK(container.stats().other_operations().at("copy") == 6);
}

TEST_CASE("a token of an identity does not leave this host without TLS", "[azure][client]") {
    const auto refused = [](const std::string& endpoint, const authorization& how) {
        const auto made = client::make({.account = "acct", .container = "keep", .endpoint = endpoint}, how);
        return !made && made.error() == errc::bad_request && made.error().text.contains("https");
    };
    const authorization token = *make_managed_identity({});
    CHECK(refused("http://blob.example", token));
    CHECK(refused("http://192.0.2.1", token));
    CHECK_FALSE(refused("https://blob.example", token));
    CHECK_FALSE(refused("http://127.0.0.1:10000", token));
    CHECK_FALSE(refused("http://blob.example", account_key()));
}

TEST_CASE("properties of a container tell what is in the way", "[azure][client]") {
    const stub_service service([](const seen_request& r, std::size_t number) {
        auto reply = changed_reply(200);
        if (number == 1) reply.headers.emplace_back("x-ms-has-legal-hold", "true");
        if (number == 2) reply.headers.emplace_back("x-ms-blob-public-access", "container");
        if (number == 3) return stub_reply{.status = 404, .headers = {{"x-ms-error-code", "ContainerNotFound"}}};
        return r.target == "/acct/keep?restype=container" ? reply : stub_reply{.status = 400};
    });
    const auto container = make_container(service);
    const auto plain = run(container.head_container(soon()));
    REQUIRE(plain.has_value());
    CHECK_FALSE(plain->immutable);
    CHECK_FALSE(plain->is_public);
    CHECK(run(container.head_container(soon()))->immutable);
    CHECK(run(container.head_container(soon()))->is_public);
    CHECK(kind(run(container.head_container(soon()))) == error_kind::no_such_bucket);
}
