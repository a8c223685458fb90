/// Listings of services without ListObjectsV2, and of those that ignore continuation tokens.
#include "tests/s3/bucket_fixture.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <vector>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;

namespace {

/// The value of a query parameter, as it is.
std::string parameter(const std::string& target, const std::string& name) {
    const auto at = target.find(name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 1;
    return target.substr(begin, target.find('&', begin) - begin);
}

bool is_v2(const seen_request& r) {
    return r.target.find("list-type=2") != std::string::npos;
}

const std::vector<std::string> keys{"a", "b", "c", "d", "e", "f", "g"};

/// A page of three keys after this one. `next`: the element with the continuation of the next page.
stub_reply page_after(const std::string& after, const std::function<std::string(const std::string&)>& next) {
    std::string body = "<ListBucketResult>";
    std::string last;
    int count = 0;
    bool more = false;
    for (const auto& key : keys) {
        if (key <= after) continue;
        if (count == 3) {
            more = true;
            break;
        }
        ++count;
        last = key;
        body += "<Contents><Key>" + key +
                "</Key><Size>1</Size><LastModified>2009-10-12T17:50:03.000Z</LastModified>"
                "</Contents>";
    }
    body += more ? "<IsTruncated>true</IsTruncated>" + next(last) : std::string("<IsTruncated>false</IsTruncated>");
    return {.body = body + "</ListBucketResult>"};
}

std::string no_marker(const std::string&) {
    return {};
}
std::string next_marker(const std::string& last) {
    return "<NextMarker>" + last + "</NextMarker>";
}
std::string next_token(const std::string& last) {
    return "<NextContinuationToken>" + last + "</NextContinuationToken>";
}

/// All pages of a listing, or the error. Ten pages are too many.
result<std::vector<std::string>> list_all(const client& bucket) {
    std::vector<std::string> out;
    list_options where{.keys_max = 3};
    for (int pages = 0; pages < 10; ++pages) {
        auto page = run(bucket.list(where, soon()));
        if (!page) return std::unexpected(page.error());
        where.continue_after(*page);
        for (const auto& object : page->objects) out.push_back(object.key);
        if (!page->truncated) return out;
    }
    throw std::runtime_error("the listing does not end");
}

}  // namespace

TEST_CASE("the client uses V1 listings with a service that supports no others", "[s3][client][list]") {
    const auto next = GENERATE(&no_marker, &next_marker);
    stub_service service(
        [&](const seen_request& r, std::size_t) { return page_after(parameter(r.target, "marker"), next); });
    const auto bucket = make_bucket(service);
    CHECK(list_all(bucket).value() == keys);
    CHECK(service.count() == 3);
    CHECK(list_all(bucket).value() == keys);
    const auto seen = service.seen();
    REQUIRE(seen.size() == 6);
    CHECK(is_v2(seen[0]));
    for (std::size_t i = 1; i < seen.size(); ++i) CHECK_FALSE(is_v2(seen[i]));
    CHECK(parameter(seen[1].target, "marker") == "c");
    CHECK(parameter(seen[3].target, "marker").empty());
}

TEST_CASE("a listing that began with V2 continues with V2, whatever other calls have learned", "[s3][client][list]") {
    std::atomic<bool> knows_v2 = true;
    stub_service service([&](const seen_request& r, std::size_t) {
        return is_v2(r) && knows_v2 ? page_after(parameter(r.target, "continuation-token"), next_token)
                                    : page_after(parameter(r.target, "marker"), next_marker);
    });
    const auto bucket = make_bucket(service);
    list_options where{.keys_max = 3};
    auto page = run(bucket.list(where, soon()));
    REQUIRE(page.has_value());
    where.continue_after(*page);
    knows_v2 = false;
    CHECK(list_all(bucket).value() == keys);
    knows_v2 = true;
    page = run(bucket.list(where, soon()));
    REQUIRE(page.has_value());
    CHECK(page->objects.at(0).key == "d");
    CHECK(is_v2(service.seen().back()));
    CHECK(parameter(service.seen().back().target, "continuation-token") == "c");
}

TEST_CASE("a service that repeats the same page is an error, not an endless listing", "[s3][client][list]") {
    const std::function<std::string(const std::string&)> rows[] = {
        no_marker, next_marker, next_token,
        // Another token each time, but the same keys.
        [number = 0](const std::string&) mutable {
            return "<NextContinuationToken>" + std::to_string(++number) + "</NextContinuationToken>";
        }};
    for (const auto& next : rows) {
        stub_service service([&](const seen_request&, std::size_t) { return page_after("", next); });
        const auto bucket = make_bucket(service);
        const auto listed = list_all(bucket);
        REQUIRE_FALSE(listed.has_value());
        CHECK(listed.error() == errc::io_error);
        CHECK(listed.error().text.find("a page of the listing does not begin after the previous one") !=
              std::string::npos);
        CHECK(service.count() == 2);  // Not retried.
    }
    // Empty pages with the same token.
    stub_service hollow([&](const seen_request&, std::size_t) {
        return stub_reply{.body =
                              "<ListBucketResult><IsTruncated>true</IsTruncated>"
                              "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>"};
    });
    const auto bucket = make_bucket(hollow);
    CHECK_FALSE(list_all(bucket).has_value());
    CHECK(hollow.count() == 2);
}

TEST_CASE("an empty page does not forget the last key of a listing", "[s3][client][list]") {
    list_page page;
    CHECK(page.last_key().empty());
    page.objects = {{.key = "b"}, {.key = "y"}};
    list_options where;
    where.continue_after(page);
    where.continue_after({});
    CHECK(where.last_key == "y");
}

TEST_CASE("a list of uploads that repeats a page is an error", "[s3][client][list]") {
    const auto page = [](const std::string& key, const std::string& next, const std::string& id) {
        return stub_reply{.body = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>" + next +
                                  "</NextKeyMarker><NextUploadIdMarker>" + id + "</NextUploadIdMarker><Upload><Key>" +
                                  key + "</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>"};
    };
    struct row {
        const char* what;
        stub_reply second;
        bool good;
    };
    const row rows[] = {
        {"goes on", page("m", "n", "1"), true},
        {"goes on with further uploads of the same key", page("k", "k", "2"), true},
        {"the same again", page("k", "k", "1"), false},
        {"begins before", page("a", "n", "1"), false},
        {"goes back", page("l", "b", "3"), false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        stub_service service(
            [&](const seen_request&, std::size_t n) { return n == 0 ? page("c", "k", "1") : row.second; });
        const auto bucket = make_bucket(service);
        const auto first = run(bucket.list_uploads("", "", "", soon()));
        REQUIRE(first.has_value());
        const auto second = run(bucket.list_uploads("", first->next_key, first->next_upload_id, soon()));
        CHECK(second.has_value() == row.good);
        if (!second) CHECK(second.error().text.find("does not begin after the previous one") != std::string::npos);
        CHECK(service.count() == 2);
    }
}
