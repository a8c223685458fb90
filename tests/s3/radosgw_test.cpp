/// The client against a real S3 service.
#include "s3/probe.hpp"
#include "tests/s3/bucket_fixture.hpp"
#include "tests/support/s3_server.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

std::shared_ptr<credentials_cache> keys_of(const s3_server& server) {
    credentials_config config;
    config.access_key_id = server.access_key;
    config.secret_access_key = secret_string(server.secret_key);
    return *make_credentials(std::move(config));
}

client_options options_of(const s3_server& server, const std::string& bucket) {
    client_options out;
    out.endpoint = server.endpoint;
    out.region = server.region;
    out.bucket = bucket;
    return out;
}

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    std::uint32_t x = 1;
    for (auto& c : out) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
    return out;
}

put_options checked(const std::string& content) {
    put_options out;
    out.md5 = md5_of(content);
    return out;
}

}  // namespace

TEST_CASE("a real bucket passes the probe, with and without TLS", "[s3][real]") {
    const auto server = s3_server::find();
    if (!server) return;
    const s3_bucket bucket(*server);
    for (const bool tls : {false, true}) {
        auto options = options_of(*server, bucket.name());
        if (tls) {
            options.endpoint = server->tls_endpoint;
            options.ca_file = server->ca_file;
        }
        std::string lines;
        const auto take = [&](const probe_line& line) { lines += to_text(line) + "\n"; };
        CAPTURE(tls);
        const bool good = run(probe_bucket(options, keys_of(*server), probe_extent::read_and_write, take, soon()));
        INFO(lines);
        CHECK(good);
        CHECK(lines.find("note: ") == std::string::npos);
    }
}

TEST_CASE("the error codes of a real service are classified", "[s3][real]") {
    const auto server = s3_server::find();
    if (!server) return;
    const s3_bucket bucket(*server);

    const auto missing = make_bucket(options_of(*server, "no-such-bucket-here"), keys_of(*server));
    CHECK(kind(run(missing.head("k", soon()))) == error_kind::no_such_bucket);
    CHECK(kind(run(missing.put("k", text_body("x"), {}, soon()))) == error_kind::no_such_bucket);
    CHECK(kind(run(missing.list({}, soon()))) == error_kind::no_such_bucket);
    CHECK(kind(run(missing.del("k", soon()))) == error_kind::no_such_bucket);

    credentials_config wrong;
    wrong.access_key_id = server->access_key;
    wrong.secret_access_key = secret_string("wrong");
    const auto refused = make_bucket(options_of(*server, bucket.name()), *make_credentials(wrong));
    CHECK(kind(run(refused.list({}, soon()))) == error_kind::bad_credentials);
    CHECK(kind(run(refused.head("k", soon()))) == error_kind::bad_credentials);
    wrong.access_key_id = "UNKNOWN";
    const auto unknown = make_bucket(options_of(*server, bucket.name()), *make_credentials(wrong));
    CHECK(kind(run(unknown.list({}, soon()))) == error_kind::bad_credentials);

    auto late = options_of(*server, bucket.name());
    late.now = [] { return floor<milliseconds>(system_clock::now()) - hours(1); };
    const auto skewed = make_bucket(late, keys_of(*server));
    CHECK(run(skewed.list({}, soon())).has_value());
    CHECK(abs(skewed.clock_skew() - hours(1)) < seconds(5));

    auto untrusted = options_of(*server, bucket.name());
    untrusted.endpoint = server->tls_endpoint;
    const auto stranger = make_bucket(untrusted, keys_of(*server));
    CHECK(kind(run(stranger.list({}, soon()))) == error_kind::bad_certificate);
}

TEST_CASE("objects of a real service are written, checked, read in ranges and copied", "[s3][real]") {
    const auto server = s3_server::find();
    if (!server) return;
    const s3_bucket name(*server);
    const auto bucket = make_bucket(options_of(*server, name.name()), keys_of(*server));
    const auto content = pattern(3 * MiB + 17);

    auto with = checked(content);
    with.metadata = {{"waypoints", "v1;AAECAw=="}};
    const auto put = run(bucket.put("abc/key with+odd%2Fname", text_body(content), with, soon()));
    REQUIRE(put.has_value());
    CHECK(put->etag == md5_of(content).hex());
    const auto info = run(bucket.head("abc/key with+odd%2Fname", soon()));
    REQUIRE(info.has_value());
    CHECK(info->size == content.size());
    CHECK(info->find_metadata("waypoints") == "v1;AAECAw==");
    CHECK(abs(floor<seconds>(system_clock::now()) - info->last_modified) < minutes(1));
    CHECK(run(get_text(bucket, "abc/key with+odd%2Fname")) == content);
    CHECK(run(get_text(bucket, "abc/key with+odd%2Fname", {.range = byte_range{1000, 2 * MiB}})) ==
          content.substr(1000, 2 * MiB));

    auto bad = checked("other");
    CHECK(kind(run(bucket.put("bad", text_body(content), bad, soon()))) == error_kind::bad_digest);
    CHECK(kind(run(bucket.head("bad", soon()))) == error_kind::not_found);

    REQUIRE(run(bucket.put("empty", {}, checked(""), soon())).has_value());
    CHECK(run(get_text(bucket, "empty")) == std::string());
    CHECK(kind(run(get_text(bucket, "empty", {.range = byte_range{0, 100}}))) == error_kind::invalid_range);

    const auto copied = run(bucket.copy("abc/key with+odd%2Fname", "trash/x", {}, soon()));
    REQUIRE(copied.has_value());
    CHECK(copied->last_modified.has_value());
    CHECK(run(bucket.head("trash/x", soon()))->find_metadata("waypoints") == "v1;AAECAw==");
    REQUIRE(run(bucket.copy("trash/x", "trash/x", {.replace_metadata = name_values{{"a", "b"}}}, soon())).has_value());
    CHECK(run(bucket.head("trash/x", soon()))->metadata == name_values{{"a", "b"}});
    CHECK(kind(run(bucket.copy("missing", "y", {}, soon()))) == error_kind::not_found);

    auto absent = checked("x");
    absent.if_absent = true;
    CHECK(kind(run(bucket.put("empty", text_body("x"), absent, soon()))) == error_kind::precondition);
    CHECK(run(bucket.del("missing", soon())).has_value());

    const s3_bucket other_name(*server);
    const auto other = make_bucket(options_of(*server, other_name.name()), keys_of(*server));
    const auto across =
        run(other.copy("trash/x", "x", {.from_bucket = name.name(), .if_match = md5_of(content).hex()}, soon()));
    REQUIRE(across.has_value());
    CHECK(across->etag == md5_of(content).hex());
    CHECK(run(get_text(other, "x")) == content);
    CHECK(run(other.head("x", soon()))->metadata == name_values{{"a", "b"}});
    CHECK(kind(run(other.copy("missing", "y", {.from_bucket = name.name()}, soon()))) == error_kind::not_found);
    CHECK(kind(run(other.copy("x", "y", {.from_bucket = "no-such-bucket"}, soon()))) == error_kind::no_such_bucket);
}

TEST_CASE("conditional puts of a real service replace what they expect, or nothing", "[s3][real]") {
    const auto server = s3_server::find();
    if (!server) return;
    const s3_bucket name(*server);
    const auto bucket = make_bucket(options_of(*server, name.name()), keys_of(*server));
    const auto first = run(bucket.put("k", text_body("one"), {}, soon()));
    REQUIRE(first.has_value());
    put_options how;
    how.if_match = md5_of("other").hex();
    CHECK(kind(run(bucket.put("k", text_body("two"), how, soon()))) == error_kind::precondition);
    CHECK(run(get_text(bucket, "k")) == "one");
    // Releases of radosgw differ in which form they take.
    how.if_match = first->etag;
    bool replaced = run(bucket.put("k", text_body("two"), how, soon())).has_value();
    how.if_match_form = put_options::etag_form::bare;
    replaced = replaced || run(bucket.put("k", text_body("two"), how, soon())).has_value();
    CHECK(replaced);
    CHECK(run(get_text(bucket, "k")) == "two");
    CHECK_FALSE(run(bucket.put("missing", text_body("x"), how, soon())).has_value());
    CHECK(kind(run(bucket.head("missing", soon()))) == error_kind::not_found);
}

TEST_CASE("listings of a real service are complete over many pages, in both forms", "[s3][real]") {
    const auto server = s3_server::find();
    if (!server) return;
    const s3_bucket name(*server);
    for (const bool v1 : {false, true}) {
        CAPTURE(v1);
        auto options = options_of(*server, name.name());
        options.list_v1 = v1;
        const auto bucket = make_bucket(options, keys_of(*server));
        std::vector<std::string> written;
        for (int i = 0; i < 25; ++i) {
            written.push_back("p/" + std::to_string(i) + " +&<%");
            REQUIRE(run(bucket.put(written.back(), text_body("x"), {}, soon())).has_value());
        }
        REQUIRE(run(bucket.put("q", text_body("x"), {}, soon())).has_value());
        std::ranges::sort(written);
        std::vector<std::string> listed;
        std::string token;
        int pages = 0;
        do {
            const auto page = run(bucket.list({.prefix = "p/", .token = token, .keys_max = 7}, soon()));
            REQUIRE(page.has_value());
            for (const auto& object : page->objects) listed.push_back(object.key);
            token = page->truncated ? page->next : "";
            ++pages;
        } while (!token.empty() && pages < 100);
        CHECK(listed == written);
        CHECK(pages == 4);
        const auto after = run(bucket.list({.start_after = "p/9 +&<%"}, soon()));
        REQUIRE(after.has_value());
        REQUIRE(after->objects.size() == 1);
        CHECK(after->objects[0].key == "q");
        CHECK(after->objects[0].size == 1);
    }
}

TEST_CASE("multipart uploads of a real service are checked, completed and aborted", "[s3][real]") {
    const auto server = s3_server::find();
    if (!server) return;
    const s3_bucket name(*server);
    const auto bucket = make_bucket(options_of(*server, name.name()), keys_of(*server));
    const auto content = pattern(5 * MiB + 100);
    const auto id = run(bucket.create_multipart("m", {.metadata = {{"a", "b"}}}, soon()));
    REQUIRE(id.has_value());
    CHECK(run(bucket.list_uploads("m", "", "", soon()))->uploads.at(0).upload_id == *id);
    const auto large = content.substr(0, 5 * MiB);
    const auto rest = content.substr(5 * MiB);
    CHECK(kind(run(bucket.upload_part("m", *id, 1, text_body(large), md5_of(rest), soon()))) == error_kind::bad_digest);
    const auto one = run(bucket.upload_part("m", *id, 1, text_body(large), md5_of(large), soon()));
    const auto two = run(bucket.upload_part("m", *id, 2, text_body(rest), md5_of(rest), soon()));
    REQUIRE(one.has_value());
    REQUIRE(two.has_value());
    CHECK(one->etag == md5_of(large).hex());
    CHECK(kind(run(bucket.complete_multipart("m", *id, {"wrong", two->etag}, soon()))) == error_kind::invalid);
    REQUIRE(run(bucket.complete_multipart("m", *id, {one->etag, two->etag}, soon())).has_value());
    CHECK(run(get_text(bucket, "m")) == content);
    CHECK(run(bucket.head("m", soon()))->etag == multipart_etag({one->etag, two->etag}));
    CHECK(run(bucket.head("m", soon()))->find_metadata("a") == "b");

    const auto other = run(bucket.create_multipart("n", {}, soon()));
    REQUIRE(other.has_value());
    CHECK(run(bucket.abort_multipart("n", *other, soon())).has_value());
    CHECK(run(bucket.abort_multipart("n", *other, soon())).has_value());
    CHECK(kind(run(bucket.upload_part("n", *other, 1, text_body("x"), {}, soon()))) == error_kind::no_such_upload);
}
