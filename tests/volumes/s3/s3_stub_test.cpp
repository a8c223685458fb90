// What S3 volumes do with responses that a real service rarely gives.
#include "cloud/time.hpp"
#include "digest/md5.hpp"
#include "tests/cloud/stub_service.hpp"
#include "tests/contract/volume_harness.hpp"
#include "tests/volumes/s3/stub_replies.hpp"
#include "tests/volumes/stub_volume.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <ctime>
#include <set>
#include <thread>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

std::vector<std::string> puts(const stub_service& service) {
    std::vector<std::string> out;
    for (const auto& r : service.seen()) {
        if (r.method == "PUT") out.push_back(r.path().substr(std::string("/keep/").size()));
    }
    return out;
}

}  // namespace

TEST_CASE("a block is not acknowledged when S3 confirms other content", "[volumes][s3][stub]") {
    for (const std::size_t size : {std::size_t{100}, 1 * MiB}) {
        const auto content = random_bytes(size);
        const auto name = digest::md5_of(content);
        std::string etag;
        std::vector<std::pair<std::string, std::string>> more;
        bool good = false;
        SECTION("another MD5" + std::to_string(size)) {
            etag = md5_hex({});
        }
        SECTION("the right one" + std::to_string(size)) {
            etag = name.hex();
            good = true;
        }
        SECTION("encrypted with a key of the customer's: it cannot be known" + std::to_string(size)) {
            etag = md5_hex({});
            more = {{"x-amz-server-side-encryption", "aws:kms"}};
            good = true;
        }
        SECTION("no MD5 at all" + std::to_string(size)) {
            etag = "abc-1";
            good = true;
        }
        if (etag.empty()) continue;  // A section of the other size.
        stub_service service([&](const seen_request& r, std::size_t) {
            if (is_listing(r)) return empty_listing();
            auto reply = stored_as(is_marker(r) ? md5_hex({}) : etag);
            reply.headers.insert(reply.headers.end(), more.begin(), more.end());
            return reply;
        });
        const auto volume = open_volume(stub_volume(service));
        CHECK(put(*volume, name, content).has_value() == good);
        const auto sent = puts(service);
        REQUIRE_FALSE(sent.empty());
        CHECK(sent[0] == name.hex());
        CHECK(std::ranges::count(sent, "recent/" + name.hex()) == (!good ? 0 : size == 100 ? 2 : 1));
        for (const auto& r : service.seen()) {
            if (r.method != "PUT" || is_marker(r)) continue;
            CHECK_FALSE(r.header("content-md5").empty());
            CHECK(r.header("content-length") == std::to_string(size));
            CHECK(r.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD");
        }
    }
}

TEST_CASE("ETags that look like an MD5 and are none are found out by reading one block, once",
          "[volumes][s3][stub][etag]") {
    std::map<std::string, std::string> objects;  // Touched by the handler only.
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        if (r.method == "PUT") {
            objects[r.path()] = r.body;
            return stored_as(md5_hex(random_bytes(16)));
        }
        const auto found = objects.find(r.path());
        if (found == objects.end()) return refused_with(404, "NoSuchKey");
        return stub_reply{.body = found->second,
                          .headers = {{"ETag", "\"e\""}, {"Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT"}}};
    });
    const auto volume = open_volume(stub_volume(service));
    const auto gets = [&] {
        return std::ranges::count_if(service.seen(), [](const auto& r) { return r.method == "GET" && !is_listing(r); });
    };
    for (const std::size_t size : {1 * MiB, std::size_t{100}, std::size_t{0}, 3 * MiB}) {
        const auto content = random_bytes(size);
        CHECK(put(*volume, digest::md5_of(content), content).has_value());
        CHECK(gets() == 1);
    }
}

TEST_CASE("a block is read as it was stored where responses have neither ETag, time nor length",
          "[volumes][s3][stub]") {
    using framing = stub_reply::framing;
    for (const auto ends : {framing::length, framing::chunked, framing::until_close}) {
        std::map<std::string, std::string> objects;  // Touched by the handler only.
        std::atomic<std::size_t> cut_after = std::string::npos;
        stub_service service([&](const seen_request& r, std::size_t) {
            if (is_listing(r)) return empty_listing();
            if (r.method == "PUT") {
                objects[r.path()] = r.body;
                return stored_as(digest::md5_of(std::as_bytes(std::span(r.body))).hex());
            }
            const auto found = objects.find(r.path());
            if (found == objects.end()) return refused_with(404, "NoSuchKey");
            stub_reply reply{.body = found->second.substr(0, cut_after.load()),
                             .headers = {{"x-amz-request-id", "tx1"}}};
            reply.ends = ends;
            return reply;
        });
        const auto volume = open_volume(stub_volume(service));
        for (const std::size_t size : {std::size_t{100}, 3 * MiB}) {
            CAPTURE(int(ends), size);
            const auto content = random_bytes(size);
            const auto name = digest::md5_of(content);
            REQUIRE(put(*volume, name, content).has_value());
            CHECK((get(*volume, name) == content));
            if (ends != framing::until_close) continue;
            // That it was cut does not show: it is no damaged block.
            cut_after = size / 2;
            const auto cut = run(volume->open_for(name, {.size = size}, soon()));
            CHECK(is_error(cut, errc::unavailable));
            cut_after = std::string::npos;
            CHECK(run(volume->open_for(name, {.size = size}, soon())).has_value());
        }
    }
}

TEST_CASE("a block is not acknowledged when its marker cannot be written", "[volumes][s3][stub]") {
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return is_marker(r) ? refused_with(403, "AccessDenied") : stored_as("abc-1");
    });
    const auto volume = open_volume(stub_volume(service));
    for (const std::size_t size : {std::size_t{100}, 1 * MiB}) {
        const auto content = random_bytes(size);
        CHECK(is_error(put(*volume, digest::md5_of(content), content), errc::unavailable));
    }
}

TEST_CASE("whether the service honours conditional PUTs is tested", "[volumes][s3][stub]") {
    bool conditional = false;
    stub_reply answer;
    SECTION("honoured") {
        conditional = true;
        answer = refused_with(412, "PreconditionFailed");
    }
    SECTION("ignored") {
        answer = stored_as("abc-1");
    }
    SECTION("unknown to the service") {
        answer = refused_with(501, "NotImplemented");
    }
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        if (r.header("if-none-match") == "*" && is_marker(r)) return answer;
        return stored_as("abc-1");
    });
    const auto volume = open_volume(stub_volume(service));
    for (int i = 0; i < 3; ++i) {
        const auto content = random_bytes(100);
        CHECK(put(*volume, digest::md5_of(content), content).has_value());
        CHECK(volume->compares_on_commit(100) == conditional);
    }
    const auto seen = service.seen();
    const auto asked = std::ranges::count_if(
        seen, [](const auto& r) { return r.method == "PUT" && !is_marker(r) && r.header("if-none-match") == "*"; });
    CHECK(asked == (conditional ? 2 : 0));
    CHECK(puts(service).size() == 7);
}

TEST_CASE("nothing is deleted when the copy to the trash is not confirmed", "[volumes][s3][stub]") {
    std::string copied;
    unsigned status = 200;
    SECTION("an error in a 200") {
        copied = "<Error><Code>InternalError</Code></Error>";
    }
    SECTION("cut off") {
        copied = "<CopyObjectResult><ETag>x";
    }
    SECTION("no time") {
        copied = "<CopyObjectResult><ETag>\"x\"</ETag></CopyObjectResult>";
    }
    SECTION("an old time") {
        copied =
            "<CopyObjectResult><ETag>\"x\"</ETag><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
            "</CopyObjectResult>";
    }
    SECTION("nothing") {
        copied = "";
    }
    SECTION("a failure") {
        status = 503;
        copied = "<Error><Code>SlowDown</Code></Error>";
    }
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        if (r.method == "HEAD" && r.path().find("/trash/") != std::string::npos) return stub_reply{.status = 404};
        if (r.method == "HEAD") {
            return stub_reply{.headers = {{"ETag", "\"x\""}, {"Last-Modified", "Mon, 12 Oct 2009 17:50:03 GMT"}}};
        }
        if (r.method == "PUT") return stub_reply{.status = status, .body = copied};
        return stub_reply{.status = 204};
    });
    const auto volume = open_volume(stub_volume(service));
    const auto trashed =
        run(volume->trash(random_name(), {.protect_for = hours(1), .lifetime = hours(1)}, deadline::in(seconds(15))));
    CHECK_FALSE(trashed.has_value());
    for (const auto& r : service.seen()) CHECK(r.method != "DELETE");
}

TEST_CASE("a block that is written while it is being trashed is not deleted", "[volumes][s3][stub]") {
    // Written just when the copy to the trash is confirmed: too late to be copied, early enough to be noticed.
    bool block_written = false;
    bool marker_written = false;
    bool gone = false;
    SECTION("nothing") {}
    SECTION("a corrupt copy is replaced, its marker not yet written") {
        block_written = true;
    }
    SECTION("a corrupt copy is replaced, and that was acknowledged to the client") {
        block_written = marker_written = true;
    }
    SECTION("it is touched") {
        marker_written = true;
    }
    SECTION("another server deletes it") {
        gone = true;
    }
    bool copied = false;
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        const bool marker = is_marker(r);
        if (r.method == "HEAD" && r.path().find("/trash/") != std::string::npos) return signed_reply(404);
        if (r.method == "HEAD" && copied && gone && !marker) return signed_reply(404);
        if (r.method == "HEAD") {
            const bool anew = copied && (marker ? marker_written : block_written);
            return stub_reply{.headers = {{"ETag", marker ? "\"m\""
                                                   : anew ? "\"good\""
                                                          : "\"rotten\""},
                                          {"Last-Modified", anew ? http_date(seconds(0)) : http_date(-hours(9))}}};
        }
        if (r.method == "PUT") {
            copied = true;
            return stub_reply{.body = "<CopyObjectResult><ETag>\"rotten\"</ETag><LastModified>" + iso_date(seconds(0)) +
                                      "</LastModified></CopyObjectResult>"};
        }
        return stub_reply{.status = 204};
    });
    const auto volume = open_volume(stub_volume(service));
    const auto trashed = run(volume->trash(random_name(), {.protect_for = hours(1), .lifetime = hours(1)}, soon()));
    REQUIRE(trashed.has_value());
    const auto seen = service.seen();
    const auto deleted = std::ranges::count_if(seen, [](const auto& r) { return r.method == "DELETE"; });
    if (block_written || marker_written) {
        CHECK(*trashed == volumes::trash_outcome::too_new);
        CHECK(deleted == 0);
    } else {
        CHECK(*trashed == volumes::trash_outcome::trashed);
        CHECK(deleted == 1);
    }
}

TEST_CASE("untrash replaces an object that is corrupt, if the one in the trash is good", "[volumes][s3][stub]") {
    const auto content = random_bytes(100);
    const auto name = digest::md5_of(content);
    const std::string text(reinterpret_cast<const char*>(content.data()), content.size());
    const std::string md5 = name.hex();
    const std::string other = md5_hex({});
    const std::string parts = other + "-4";  // An ETag that does not tell: the content is read.
    struct object {
        std::string etag;  // Empty: there is no such object.
        bool good;
    };
    struct row {
        std::string what;
        object block, trash;
        bool copied, succeeds;
    };
    const row rows[] = {{"the block is good", {md5, true}, {md5, true}, false, true},
                        {"the block is corrupt", {other, false}, {md5, true}, true, true},
                        {"both are corrupt", {other, false}, {other, false}, false, false},
                        {"the block in parts is good", {parts, true}, {md5, true}, false, true},
                        {"the block in parts is corrupt", {parts, false}, {md5, true}, true, true},
                        {"the copy in parts is good", {other, false}, {parts, true}, true, true},
                        {"the copy in parts is corrupt", {parts, false}, {parts, false}, false, false},
                        {"no block, the copy is good", {"", false}, {parts, true}, true, true},
                        {"no block, the copy is corrupt", {"", false}, {parts, false}, true, false}};
    for (const auto& r : rows) {
        CAPTURE(r.what);
        stub_service service([&](const seen_request& request, std::size_t) {
            if (is_listing(request)) return empty_listing();
            const bool copy = !request.header("x-amz-copy-source").empty();
            if (request.method == "PUT" && !copy) return stored_as(other);
            if (copy) {
                return stub_reply{.body = "<CopyObjectResult><ETag>\"x\"</ETag><LastModified>" + iso_date(seconds(0)) +
                                          "</LastModified></CopyObjectResult>"};
            }
            const object marker{other, true};
            const auto& found = is_marker(request) ? marker : request.path().contains("/trash/") ? r.trash : r.block;
            if (found.etag.empty()) return signed_reply(404);
            return stub_reply{.body = request.method == "HEAD" ? ""
                                      : found.good             ? text
                                                               : "rotten",
                              .headers = {{"ETag", "\"" + found.etag + "\""}, {"Last-Modified", http_date(-hours(9))}}};
        });
        const auto volume = open_volume(stub_volume(service));
        const auto done = run(volume->untrash(name, soon()));
        CHECK(done.has_value() == r.succeeds);
        if (!done) CHECK(done.error() == errc::checksum_mismatch);
        const auto sent = puts(service);
        CHECK(std::ranges::count(sent, md5) == (r.copied ? 1 : 0));
        // What is there then is as if it was just written.
        CHECK(std::ranges::count(sent, "recent/" + md5) == (r.copied || r.succeeds ? 1 : 0));
    }
}

TEST_CASE("the age of trash is computed by the service's time, also when our clock has just jumped ahead",
          "[volumes][s3][stub]") {
    // As if it were our clock that is two hours ahead from some moment on.
    std::atomic<bool> jumped = false;
    const auto name = random_name();
    const seconds trashed_ago = std::chrono::minutes(30);
    stub_service service([&](const seen_request& r, std::size_t) {
        const seconds off = jumped ? -seconds(hours(2)) : seconds(0);
        const auto reply = [&]() -> stub_reply {
            if (jumped && abs(signed_at(r) - (now_seconds() + off)) > std::chrono::minutes(15)) {
                return refused_with(403, "RequestTimeTooSkewed");
            }
            if (is_listing(r) && r.target.find("prefix=trash") == std::string::npos) return empty_listing();
            if (is_listing(r)) {
                return {.body = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>trash/" + name.hex() +
                                "</Key><Size>7</Size><ETag>x</ETag><LastModified>" + iso_date(off - trashed_ago) +
                                "</LastModified></Contents></ListBucketResult>"};
            }
            if (r.method == "HEAD" && is_marker(r)) {
                return {.headers = {{"ETag", "\"m\""}, {"Last-Modified", http_date(off - hours(9))}}};
            }
            return signed_reply(r.method == "HEAD" ? 404 : 204);
        };
        auto out = reply();
        out.headers.emplace_back("Date", http_date(off));
        return out;
    });
    const auto volume = open_volume(stub_volume(service));
    REQUIRE(run(volume->empty_trash(1, soon())).has_value());
    const auto before = service.seen().size();
    jumped = true;
    const auto swept = run(volume->empty_trash(1, soon()));
    REQUIRE(swept.has_value());
    CHECK(swept->blocks_in_trash == 1);
    const auto seen = service.seen();
    CHECK(seen.size() > before + 1);
    for (const auto& r : seen) CHECK(r.method != "DELETE");
}

}  // namespace keepstore::test
