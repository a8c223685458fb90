#include "azure/xml.hpp"
#include "azure/error.hpp"
#include "tests/cloud/object_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;

namespace {

std::string blob(const std::string& inside) {
    return "<Blob>" + inside + "</Blob>";
}

const std::string properties =
    "<Properties><Creation-Time>Wed, 01 Jan 2020 00:00:00 GMT</Creation-Time><Last-Modified>Mon, 12 Oct 2009 17:50:03 "
    "GMT</Last-Modified><Etag>0x8D9</Etag><Content-Length>12</Content-Length><Content-Type>application/octet-stream"
    "</Content-Type><Content-Encoding /><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5><BlobType>BlockBlob"
    "</BlobType></Properties>";

/// A page with these blobs, and this after them.
std::string page_of(const std::string& blobs, const std::string& rest = "<NextMarker />") {
    return "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://a/\" "
           "ContainerName=\"keep\"><Prefix>a</Prefix><MaxResults>5000</MaxResults><Blobs>" +
           blobs + "</Blobs>" + rest + "</EnumerationResults>";
}

std::string good_blob(const std::string& name = "abc") {
    return blob("<Name>" + name + "</Name>" + properties);
}

bool is_malformed(const std::string& body) {
    return kind(parse_list_page(body)) == error_kind::malformed_response;
}

}  // namespace

TEST_CASE("a page has names, sizes, times, digests and metadata", "[azure][xml]") {
    const auto page = parse_list_page(
        page_of(blob("<Name>abc</Name>" + properties + "<Metadata><Waypoints>AAEC</Waypoints><n> a b </n></Metadata>") +
                good_blob("abd")));
    REQUIRE(page.has_value());
    REQUIRE(page->objects.size() == 2);
    CHECK_FALSE(page->truncated);
    const auto& first = page->objects.front();
    CHECK(first.key == "abc");
    CHECK(first.size == 12);
    CHECK(first.etag == "0x8D9");
    CHECK(first.last_modified == cloud::parse_http_date("Mon, 12 Oct 2009 17:50:03 GMT"));
    CHECK(first.content_md5 == md5_of_nothing);
    CHECK(first.metadata == cloud::name_values{{"waypoints", "AAEC"}, {"n", " a b "}});
    CHECK(page->last_key() == "abd");
}

TEST_CASE("a marker continues the listing, also after an empty page", "[azure][xml]") {
    const auto page = parse_list_page(page_of("", "<NextMarker>2!76!MDAw</NextMarker>"));
    REQUIRE(page.has_value());
    CHECK(page->truncated);
    CHECK(page->next == "2!76!MDAw");
    CHECK(page->objects.empty());
    CHECK_FALSE(parse_list_page(page_of(""))->truncated);
}

TEST_CASE("encoded names are decoded, and ETags lose their quotes", "[azure][xml]") {
    auto quoted = properties;
    quoted.replace(quoted.find("0x8D9"), 5, "\"0x8D9\"");
    const auto page = parse_list_page(page_of(blob("<Name Encoded=\"true\">a%EF%BF%BE+b</Name>" + quoted) +
                                              blob("<Name Encoded=\"false\">c%41</Name>" + quoted)));
    REQUIRE(page.has_value());
    CHECK(page->objects.at(0).key == "a\xef\xbf\xbe+b");
    CHECK(page->objects.at(1).key == "c%41");
    CHECK(page->objects.at(0).etag == "0x8D9");
}

TEST_CASE("what is not understood in a listing is an error", "[azure][xml]") {
    CHECK_FALSE(is_malformed(page_of(good_blob())));
    const auto without = [](std::string text, const std::string& part, const std::string& instead = "") {
        return text.replace(text.find(part), part.size(), instead);
    };
    // A page whose end cannot be told from the last one's.
    CHECK(is_malformed(page_of(good_blob(), "")));
    CHECK(is_malformed(page_of(good_blob(), "<NextMarker>a</NextMarker><NextMarker />")));
    CHECK(is_malformed("<EnumerationResults><NextMarker /></EnumerationResults>"));
    CHECK(is_malformed(page_of("</Blobs><Blobs>")));
    // Entries.
    CHECK(is_malformed(page_of("<BlobPrefix><Name>a/</Name></BlobPrefix>")));
    CHECK(is_malformed(page_of(blob(properties))));
    CHECK(is_malformed(page_of(blob("<Name></Name>" + properties))));
    CHECK(is_malformed(page_of(blob("<Name>a</Name><Name>b</Name>" + properties))));
    CHECK(is_malformed(page_of(blob("<Name Encoded=\"perhaps\">a</Name>" + properties))));
    CHECK(is_malformed(page_of(blob("<Name Encoded=\"true\">a%4</Name>" + properties))));
    CHECK(is_malformed(page_of(blob("<Name>a</Name>"))));
    for (const std::string instead : {"", "-1", "12.5", "99999999999999999999", "0x12"})
        CHECK(is_malformed(page_of(without(good_blob(), ">12<", ">" + instead + "<"))));
    for (const std::string instead : {"", "2009-10-12T17:50:03Z", "Mon, 12 Oct 2009", "yesterday"})
        CHECK(is_malformed(page_of(without(good_blob(), "Mon, 12 Oct 2009 17:50:03 GMT", instead))));
    for (const std::string instead : {"x", "1B2M2Y8AsgTpgAmY7PhCfg", "AAAA"})
        CHECK(is_malformed(page_of(without(good_blob(), "1B2M2Y8AsgTpgAmY7PhCfg==", instead))));
    // Others than the present versions of blobs.
    CHECK(is_malformed(page_of(blob("<Name>a</Name><Snapshot>2020-01-01T00:00:00Z</Snapshot>" + properties))));
    CHECK(is_malformed(page_of(blob("<Name>a</Name><Deleted>true</Deleted>" + properties))));
    CHECK(is_malformed(page_of(blob("<Name>a</Name><IsCurrentVersion>false</IsCurrentVersion>" + properties))));
    CHECK_FALSE(is_malformed(
        page_of(blob("<Name>a</Name><Deleted>false</Deleted><IsCurrentVersion>true</IsCurrentVersion>" + properties))));
}

TEST_CASE("a body that is no listing is an error, never an empty one", "[azure][xml]") {
    const auto whole = page_of(good_blob());
    for (std::size_t length = 0; length < whole.size(); length += 13) CHECK(is_malformed(whole.substr(0, length)));
    CHECK(is_malformed("<html><body>Welcome</body></html>"));
    CHECK(is_malformed("<?xml version=\"1.0\"?><EnumerationResult/>"));
    CHECK(parse_list_page("<!DOCTYPE html><html>").error().text.contains("HTML"));
}

TEST_CASE("the code of an error is read from a complete document only", "[azure][xml]") {
    CHECK(parse_error_code("\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>ServerBusy</Code></Error>") ==
          "ServerBusy");
    CHECK(parse_error_code("<Error><Code> BlobNotFound\n</Code><Message>x</Message></Error>") == "BlobNotFound");
    for (const auto* body : {"", "<Error><Code>ServerBusy</Code>", "<Error/>", "<Fault><Code>x</Code></Fault>", "busy"})
        CHECK_FALSE(parse_error_code(body).has_value());
}

TEST_CASE("a block list names the latest blocks in order", "[azure][xml]") {
    CHECK(
        format_block_list({"YQ==", "Yg=="}) ==
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>");
}
