/// Outages and listings as a scripted service shows them.
#include "cloud/time.hpp"
#include "digest/md5.hpp"
#include "tests/cloud/stub_service.hpp"
#include "tests/contract/volume_harness.hpp"
#include "tests/s3/bucket_fixture.hpp"
#include "tests/volumes/s3/multipart_service.hpp"
#include "tests/volumes/s3/stub_replies.hpp"
#include "tests/volumes/stub_volume.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <ctime>
#include <set>
#include <thread>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

/// Two readers that have read into `into` and then read no more.
std::vector<std::unique_ptr<volumes::block_reader>> pause_readers(volumes::volume& volume, const mutable_slice& into) {
    std::vector<std::unique_ptr<volumes::block_reader>> out;
    for (unsigned i = 0; i < 2; ++i) {
        auto reader = run(volume.open(random_name(), soon()));
        REQUIRE(reader.has_value());
        REQUIRE(run((*reader)->read_at(0, into, soon())).has_value());
        out.push_back(std::move(*reader));
    }
    return out;
}

}  // namespace

TEST_CASE("a load balancer with nothing behind it is an outage", "[volumes][s3][stub][outage]") {
    std::atomic<bool> dead = false;
    stub_service service([&](const seen_request& r, std::size_t) {
        if (dead) return stub_reply{.status = 503, .body = "<html><body>No server is available</body></html>"};
        if (r.path() == "/keep") return is_listing(r) ? empty_listing() : stub_reply{};
        return signed_reply(404);
    });
    const auto volume = open_volume(stub_volume(service));
    CHECK(is_error(get(*volume, random_name()), errc::not_found));
    dead = true;
    const auto limit = deadline::in(seconds(20));
    while (volume->health().empty()) {
        REQUIRE_FALSE(limit.passed());
        CHECK(is_error(get(*volume, random_name()), errc::unavailable));
    }
    const auto known = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) CHECK(is_error(get(*volume, random_name()), errc::unavailable));
    CHECK(std::chrono::steady_clock::now() - known < seconds(8));  // One that tries again takes up to a second.
    dead = false;
    while (!volume->health().empty() && !limit.passed()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(is_error(get(*volume, random_name()), errc::not_found));
}

TEST_CASE("an object that always fails is no outage", "[volumes][s3][stub][outage]") {
    const auto broken = random_name();
    stub_service service([&](const seen_request& r, std::size_t) {
        if (r.path() == "/keep") return is_listing(r) ? empty_listing() : stub_reply{};
        if (r.path().find(broken.hex()) != std::string::npos) return refused_with(500, "InternalError");
        return signed_reply(404);
    });
    const auto volume = open_volume(stub_volume(service));
    for (unsigned i = 0; i < 2 * limits::cloud_outage_failures; ++i) {
        CHECK(is_error(get(*volume, broken), errc::unavailable));
        CHECK(volume->health().empty());
    }
    CHECK(is_error(get(*volume, random_name()), errc::not_found));
    CHECK(volume->health().empty());
}

TEST_CASE("paused readers that have all connections are no outage, and make room for others",
          "[volumes][s3][stub][outage]") {
    const auto content = random_bytes(32 * MiB);
    const std::string text(reinterpret_cast<const char*>(content.data()), content.size());
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return r.method == "GET" ? ranged_reply(r, text) : signed_reply(404);
    });
    auto options = stub_volume(service);
    options.connections_max = 2;
    options.downloads.most = 2;
    options.fetch_memory_bytes = 1 * MiB;
    const auto volume = open_volume(std::move(options));
    const auto into = make_heap_slice(1 * MiB);
    const auto paused = pause_readers(*volume, into);
    // As many calls as failures make an outage.
    std::atomic<unsigned> opened = 0;
    std::vector<std::thread> waiting;
    for (unsigned i = 0; i < limits::cloud_outage_failures; ++i) {
        waiting.emplace_back([&] {
            if (run(volume->open(random_name(), soon()))) ++opened;
        });
    }
    for (auto& one : waiting) one.join();
    CHECK(opened == waiting.size());
    CHECK(volume->health().empty());
    for (const auto& reader : paused) {
        bool same = true;
        for (std::size_t at = 1 * MiB; at < content.size() && same; at += 1 * MiB) {
            const auto got = run(reader->read_at(at, into, soon()));
            same = got && *got == into.size() &&
                   std::equal(into.bytes.begin(), into.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(at));
        }
        CHECK(same);
    }
    CHECK(volume->health().empty());
}

TEST_CASE("a connection pool full of paused readers is no outage", "[volumes][s3][stub][outage]") {
    const auto content = random_bytes(32 * MiB);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        if (r.method != "GET") return signed_reply(404);
        return stub_reply{.body = {reinterpret_cast<const char*>(content.data()), content.size()},
                          .headers = {{"ETag", "\"e\""}, {"Last-Modified", http_date(-hours(9))}}};
    });
    auto options = stub_volume(service);
    options.connections_max = 2;
    options.downloads.most = 8;  // More than connections: they wait for these, not for turns.
    options.fetch_memory_bytes = 1 * MiB;
    const auto volume = open_volume(std::move(options));
    const auto into = make_heap_slice(1 * MiB);
    const auto paused = pause_readers(*volume, into);
    // As many calls as failures make an outage, for longer than it takes to notice one.
    std::atomic<unsigned> timeouts = 0;
    std::vector<std::thread> waiting;
    for (unsigned i = 0; i < limits::cloud_outage_failures; ++i) {
        waiting.emplace_back([&] {
            const auto opened = run(volume->open(random_name(), deadline::in(seconds(6))));
            if (!opened && opened.error() == errc::timeout) ++timeouts;
        });
    }
    for (auto& one : waiting) one.join();
    CHECK(timeouts == waiting.size());
    CHECK(volume->health().empty());
}

TEST_CASE("a PUT that is refused for its Expect is sent once without", "[volumes][s3][stub]") {
    const auto content = random_bytes(1 * MiB);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return stored_as(is_marker(r) ? md5_hex({}) : md5_hex(content));
    });
    service.refuse_expect();
    const auto volume = open_volume(stub_volume(service));
    REQUIRE(put(*volume, digest::md5_of(content), content).has_value());
    std::vector<std::string> expectations;
    for (const auto& r : service.seen()) {
        if (r.method == "PUT" && !is_marker(r)) expectations.push_back(r.header("expect"));
    }
    CHECK(expectations == std::vector<std::string>{"100-continue", ""});
}

TEST_CASE("index and trash of a service without V2 listings, or with listings that go in circles",
          "[volumes][s3][stub][index]") {
    std::vector<std::string> keys;
    for (int i = 0; i < 500; ++i) keys.push_back(random_name().hex());
    std::ranges::sort(keys);
    const bool circles = GENERATE(false, true);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (r.method != "GET") return signed_reply(404);
        auto prefix = parameter(r.target, "prefix");
        std::string folder;
        if (prefix.starts_with("recent")) return empty_listing();
        if (prefix.starts_with("trash")) folder = "trash/", prefix.clear();
        std::string after = circles ? "" : parameter(r.target, "marker");
        if (after.starts_with("trash")) after = after.substr(std::string("trash%2F").size());
        std::string body = "<ListBucketResult>";
        int count = 0;
        bool more = false;
        for (auto key = std::ranges::lower_bound(keys, prefix); key != keys.end() && key->starts_with(prefix); ++key) {
            if (*key <= after) continue;
            if ((more = count == 10)) break;
            body += "<Contents><Key>" + folder + *key + "</Key><Size>7</Size><ETag>x</ETag><LastModified>" +
                    iso_date(seconds(0)) + "</LastModified></Contents>";
            ++count;
        }
        return stub_reply{.body =
                              body + "<IsTruncated>" + (more ? "true" : "false") + "</IsTruncated></ListBucketResult>"};
    });
    const auto volume = open_volume(stub_volume(service));
    collecting_sink sink;
    const auto listed = run(volume->index("", sink, soon()));
    CHECK(listed.has_value() == !circles);
    if (circles) {
        CHECK(listed.error().text.find("a page of the listing does not begin after the previous one") !=
              std::string::npos);
        CHECK(is_error(run(volume->empty_trash(1, soon())), errc::io_error));
        CHECK(volume->health().empty());
        return;
    }
    std::set<std::string> names;
    for (const auto& b : sink.blocks) names.insert(b.name.hex());
    CHECK(sink.blocks.size() == keys.size());
    CHECK(names == std::set<std::string>(keys.begin(), keys.end()));
}

TEST_CASE("an index that is cut short is an error", "[volumes][s3][stub][index]") {
    // Blocks in pages of 10, markers never; one page of one listing fails for good.
    std::vector<std::string> keys;
    for (int i = 0; i < 5000; ++i) keys.push_back(random_name().hex());
    std::ranges::sort(keys);
    std::atomic<bool> broken = false;
    stub_service service([&](const seen_request& r, std::size_t) {
        const auto prefix = parameter(r.target, "prefix");
        if (prefix.starts_with("recent")) return empty_listing();
        const auto after = parameter(r.target, "continuation-token");
        if (broken && after.starts_with("7")) return stub_reply{.body = "<ListBucketResult><IsTruncated>tr"};
        std::string body = "<ListBucketResult>";
        int count = 0;
        std::string last;
        bool more = false;
        for (auto key = std::ranges::lower_bound(keys, prefix); key != keys.end() && key->starts_with(prefix); ++key) {
            if (*key <= after) continue;
            if (count == 100) {
                more = true;
                break;
            }
            body += "<Contents><Key>" + *key +
                    "</Key><Size>7</Size><ETag>x</ETag>"
                    "<LastModified>2020-01-01T00:00:00.000Z</LastModified></Contents>";
            last = *key;
            ++count;
        }
        body += more ? "<IsTruncated>true</IsTruncated><NextContinuationToken>" + last + "</NextContinuationToken>"
                     : std::string("<IsTruncated>false</IsTruncated>");
        return stub_reply{.body = body + "</ListBucketResult>"};
    });
    const auto volume = open_volume(stub_volume(service));
    collecting_sink sink;
    REQUIRE(run(volume->index("", sink, deadline::in(seconds(20)))).has_value());
    std::set<std::string> listed;
    for (const auto& b : sink.blocks) listed.insert(b.name.hex());
    CHECK(sink.blocks.size() == keys.size());
    CHECK(listed == std::set<std::string>(keys.begin(), keys.end()));
    broken = true;
    collecting_sink again;
    CHECK_FALSE(run(volume->index("", again, deadline::in(seconds(20)))).has_value());
    CHECK(again.blocks.size() < keys.size());
}

}  // namespace keepstore::test
