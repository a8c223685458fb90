#include "s3/xml.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace keepstore;
using namespace keepstore::s3;
using namespace std::chrono;

namespace {

const std::string v2_page = R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket</Name><Prefix/><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
  <EncodingType>url</EncodingType>
  <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>
  <Contents><Key>recent%2Fa+b</Key><LastModified>2009-10-12T17:50:30.123Z</LastModified>
    <ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>
  <Contents><Key>z</Key><LastModified>2009-10-12T17:50:31Z</LastModified><ETag>"x-2"</ETag><Size>0</Size></Contents>
  <CommonPrefixes><Prefix>trash%2F</Prefix></CommonPrefixes>
</ListBucketResult>)";

const std::string v1_page = R"(<ListBucketResult><IsTruncated>true</IsTruncated>
  <Contents><Key>a+b</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>
</ListBucketResult>)";

const std::string slow_down =
    "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please "
    "reduce</Message><RequestId>R1</RequestId></Error>";

template <class T>
error_kind parsed_kind(const result<T>& r) {
    return r ? error_kind{} : kind_of(r.error());
}

}  // namespace

TEST_CASE("a page of a V2 listing is parsed and decoded", "[s3][xml]") {
    const auto page = parse_list_page(v2_page);
    REQUIRE(page.has_value());
    CHECK(page->truncated);
    CHECK(page->next == "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
    REQUIRE(page->objects.size() == 2);
    CHECK(page->objects[0].key == "recent/a b");
    CHECK(page->objects[0].size == 434234);
    CHECK(page->objects[0].etag == "fba9dede5f27731c9771645a39863328");
    CHECK(page->objects[0].last_modified == sys_days{year{2009} / 10 / 12} + 17h + 50min + 30s);
    CHECK(page->objects[1].etag == "x-2");
}

TEST_CASE("a truncated V1 page continues after NextMarker, or after its last key", "[s3][xml]") {
    auto page = parse_list_page(v1_page);
    REQUIRE(page.has_value());
    CHECK(page->objects[0].key == "a+b");  // Not url-encoded: as it is.
    CHECK(page->next == "a+b");

    auto text = v1_page;
    text.insert(text.find("<Contents>"), "<NextMarker>m</NextMarker>");
    page = parse_list_page(text);
    REQUIRE(page.has_value());
    CHECK(page->next == "m");
}

TEST_CASE("an empty listing is complete, and a truncated page without a continuation is an error", "[s3][xml]") {
    const auto empty = parse_list_page("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
    REQUIRE(empty.has_value());
    CHECK_FALSE(empty->truncated);
    CHECK(empty->objects.empty());
    // Neither may look like the end of the listing.
    CHECK(parsed_kind(parse_list_page("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")) ==
          error_kind::malformed_response);
    CHECK(parsed_kind(parse_list_page("<ListBucketResult/>")) == error_kind::malformed_response);
    auto no_token = v2_page;
    no_token.erase(no_token.find("<NextContinuationToken>"),
                   no_token.find("<Contents>") - no_token.find("<NextContinuationToken>"));
    CHECK(parsed_kind(parse_list_page(no_token)) == error_kind::malformed_response);
}

TEST_CASE("whether a listing goes on is read as XML Schema has it, and nothing else passes for its end", "[s3][xml]") {
    const auto list = [](const std::string& element) {
        auto text = v2_page;
        text.replace(text.find("<IsTruncated>"), std::string_view("<IsTruncated>true</IsTruncated>").size(), element);
        return parse_list_page(text);
    };
    const auto uploads = [](const std::string& element) {
        return parse_upload_page("<ListMultipartUploadsResult>" + element +
                                 "<NextKeyMarker>k</NextKeyMarker></ListMultipartUploadsResult>");
    };
    const std::pair<const char*, bool> understood[] = {
        {"true", true},   {"TRUE", true},         {"True", true},         {" true", true},
        {"1", true},      {"\n\ttrue\r\n", true}, {"tr<!-- -->ue", true}, {"<![CDATA[true]]>", true},
        {"false", false}, {"False", false},       {"FALSE ", false},      {" 0 ", false}};
    for (const auto& [value, expected] : understood) {
        CAPTURE(value);
        const auto element = "<IsTruncated>" + std::string(value) + "</IsTruncated>";
        REQUIRE(list(element).has_value());
        CHECK(list(element)->truncated == expected);
        REQUIRE(uploads(element).has_value());
        CHECK(uploads(element)->truncated == expected);
    }
    for (const auto* element :
         {"", "<IsTruncated/>", "<IsTruncated> </IsTruncated>", "<IsTruncated>yes</IsTruncated>",
          "<IsTruncated>falsely</IsTruncated>", "<IsTruncated>t</IsTruncated>", "<IsTruncated>01</IsTruncated>",
          "<IsTruncated>fal se</IsTruncated>", "<IsTruncated>false</IsTruncated><IsTruncated>true</IsTruncated>",
          "<IsTruncated><b>true</b></IsTruncated>", "<isTruncated>false</isTruncated>"}) {
        CAPTURE(element);
        CHECK(parsed_kind(list(element)) == error_kind::malformed_response);
        CHECK(parsed_kind(uploads(element)) == error_kind::malformed_response);
    }
}

TEST_CASE("an encoding or a marker that is not understood is an error", "[s3][xml]") {
    const auto with = [](const std::string& more) {
        auto text = v1_page;
        text.insert(text.find("<Contents>"), more);
        return parse_list_page(text);
    };
    CHECK(with("<EncodingType> URL </EncodingType>")->objects[0].key == "a b");
    CHECK(parsed_kind(with("<EncodingType>base64</EncodingType>")) == error_kind::malformed_response);
    // The last key of the page serves as well, if there is one.
    CHECK(with("<EncodingType>url</EncodingType><NextMarker>%</NextMarker>")->next == "a b");
    CHECK(parsed_kind(
              parse_list_page("<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                              "<NextMarker>%</NextMarker></ListBucketResult>")) == error_kind::malformed_response);
}

TEST_CASE("a listing that is truncated anywhere is an error", "[s3][xml]") {
    const auto end = v2_page.rfind("</ListBucketResult>");
    for (std::size_t length = 0; length < end + 19; ++length) {
        CAPTURE(length);
        CHECK(parsed_kind(parse_list_page(std::string_view(v2_page).substr(0, length))) ==
              error_kind::malformed_response);
    }
}

TEST_CASE("entries without key, size or date are errors", "[s3][xml]") {
    for (const auto* missing :
         {"<Key>a+b</Key>", "<Size>1</Size>", "<LastModified>2009-10-12T17:50:30.000Z</LastModified>"}) {
        CAPTURE(missing);
        auto text = v1_page;
        text.erase(text.find(missing), std::string_view(missing).size());
        CHECK(parsed_kind(parse_list_page(text)) == error_kind::malformed_response);
    }
    for (const auto* size : {" 12 ", "1<!-- -->2", "<![CDATA[12]]>"}) {
        CAPTURE(size);
        auto text = v1_page;
        text.replace(text.find("<Size>1<") + 6, 1, size);
        REQUIRE(parse_list_page(text).has_value());
        CHECK(parse_list_page(text)->objects[0].size == 12);
    }
    for (const auto* size : {"-1", "1x", "", "1 2", "0x1", "1.0", "18446744073709551616"}) {
        CAPTURE(size);
        auto text = v1_page;
        text.replace(text.find("<Size>1<") + 6, 1, size);
        CHECK(parsed_kind(parse_list_page(text)) == error_kind::malformed_response);
    }
}

TEST_CASE("an error inside a 200 is that error, for every document", "[s3][xml]") {
    CHECK(parsed_kind(parse_list_page(slow_down)) == error_kind::slow_down);
    CHECK(parsed_kind(parse_copy_result(slow_down)) == error_kind::slow_down);
    CHECK(parsed_kind(parse_initiate_multipart(slow_down)) == error_kind::slow_down);
    CHECK(parsed_kind(parse_complete_multipart(slow_down)) == error_kind::slow_down);
    CHECK(parsed_kind(parse_upload_page(slow_down)) == error_kind::slow_down);
    CHECK(parsed_kind(parse_complete_multipart("<Error><Code>InternalError</Code></Error>")) == error_kind::server);
    CHECK(parsed_kind(parse_complete_multipart("<Error><Code>Unheard</Code></Error>")) == error_kind::server);
    // Amazon keeps the connection alive with blanks before the document.
    CHECK(parsed_kind(parse_complete_multipart("\n \n \n" + std::string("<Error><Code>SlowDown</Code></Error>"))) ==
          error_kind::slow_down);
}

TEST_CASE("a body that is not S3's XML is a clear error, for every document", "[s3][xml]") {
    const std::pair<const char*, const char*> rows[] = {
        {"", "an empty body"},
        {" \n ", "an empty body"},
        {"<html><body>502 Bad Gateway</body></html>", "an HTML page instead of XML"},
        {"<!DOCTYPE html><html><head><title>x</title></head></html>", "an HTML page instead of XML"},
        {"<html><br></body>", "an HTML page instead of XML"},
        {"{\"a\": 1}", "a body that is not XML"},
        {"<CopyObjectResult><ETag>", "truncated or malformed XML"},
        {"<Other/>", "an unexpected XML document"},
        {"<Error/>", "an unexpected XML document"},
    };
    for (const auto& [body, text] : rows) {
        CAPTURE(body);
        const auto copied = parse_copy_result(body);
        REQUIRE_FALSE(copied.has_value());
        CHECK(kind_of(copied.error()) == error_kind::malformed_response);
        CHECK(copied.error() == errc::unavailable);
        CHECK(copied.error().text.starts_with(text));
        CHECK(parsed_kind(parse_list_page(body)) == error_kind::malformed_response);
        CHECK(parsed_kind(parse_initiate_multipart(body)) == error_kind::malformed_response);
        CHECK(parsed_kind(parse_complete_multipart(body)) == error_kind::malformed_response);
        CHECK(parsed_kind(parse_upload_page(body)) == error_kind::malformed_response);
        CHECK_FALSE(parse_sts_credentials(body).has_value());
        CHECK_FALSE(parse_error_document(body).has_value());
    }
}

TEST_CASE("copy, multipart and upload documents are parsed", "[s3][xml]") {
    const auto copied = parse_copy_result(
        "<x:CopyObjectResult xmlns:x='u'><x:LastModified>2009-10-28T22:32:00</x:LastModified>"
        "<x:ETag>\"9b2cf535f27731c974343645a3985328\"</x:ETag></x:CopyObjectResult>");
    REQUIRE(copied.has_value());
    CHECK(copied->etag == "9b2cf535f27731c974343645a3985328");
    CHECK_FALSE(copied->last_modified.has_value());  // Without a zone it is not accepted.

    CHECK(parse_initiate_multipart("<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                                   "</InitiateMultipartUploadResult>") == std::string("u1"));
    CHECK(parsed_kind(parse_initiate_multipart("<InitiateMultipartUploadResult/>")) == error_kind::malformed_response);
    CHECK(parse_complete_multipart("<CompleteMultipartUploadResult><ETag>&quot;a-3&quot;</ETag>"
                                   "</CompleteMultipartUploadResult>") == std::string("a-3"));
    CHECK(parse_complete_multipart("<CompleteMultipartUploadResult/>") == std::string());

    const auto uploads = parse_upload_page(
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k2</NextKeyMarker>"
        "<NextUploadIdMarker>u2</NextUploadIdMarker>"
        "<Upload><Key>k1</Key><UploadId>u1</UploadId><Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>"
        "<Upload><Key>k2</Key><UploadId>u2</UploadId></Upload></ListMultipartUploadsResult>");
    REQUIRE(uploads.has_value());
    REQUIRE(uploads->uploads.size() == 2);
    CHECK(uploads->uploads[0].initiated == sys_days{year{2010} / 11 / 10} + 20h + 48min + 33s);
    CHECK(uploads->next_key == "k2");
    CHECK(uploads->next_upload_id == "u2");
}

TEST_CASE("error documents of S3 and STS are parsed", "[s3][xml]") {
    const auto moved = parse_error_document(
        "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint>"
        "<Region>eu-west-1</Region><RequestId>R</RequestId></Error>");
    REQUIRE(moved.has_value());
    CHECK(moved->code == "PermanentRedirect");
    CHECK(moved->region == "eu-west-1");
    CHECK(moved->endpoint == "b.s3.eu-west-1.amazonaws.com");
    CHECK(moved->request_id == "R");
    const auto sts = parse_error_document(
        "<ErrorResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><Error><Type>Sender</Type>"
        "<Code>ExpiredTokenException</Code></Error><RequestId>S</RequestId></ErrorResponse>");
    REQUIRE(sts.has_value());
    CHECK(sts->code == "ExpiredTokenException");
    CHECK(sts->request_id == "S");
}

TEST_CASE("keys from STS are parsed", "[s3][xml]") {
    const auto got = parse_sts_credentials(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        "<SessionToken>T</SessionToken><SecretAccessKey>S</SecretAccessKey><Expiration>2014-10-24T23:00:23Z</"
        "Expiration>"
        "<AccessKeyId>A</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>");
    REQUIRE(got.has_value());
    CHECK(got->access_key_id == "A");
    CHECK(got->secret_access_key == "S");
    CHECK(got->session_token == "T");
    CHECK(got->expiration == sys_days{year{2014} / 10 / 24} + 23h + 23s);
    // Not keys that never expire.
    CHECK(parsed_kind(parse_sts_credentials(
              "<R><S><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey>"
              "<Expiration>tomorrow</Expiration></Credentials></S></R>")) == error_kind::malformed_response);
}

TEST_CASE("the list of parts is numbered and cannot be broken by an ETag", "[s3][xml]") {
    CHECK(format_complete_multipart({"a", "\"b\""}) ==
          "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
          "<Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part>"
          "<Part><PartNumber>2</PartNumber><ETag>\"b\"</ETag></Part></CompleteMultipartUpload>");
    CHECK(format_complete_multipart({"</ETag>"}).find("</ETag></ETag>") == std::string::npos);
}
