/// The strings to sign are those of Microsoft's page "Authorize with Shared Key"
/// (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key), whose examples have no key. The
/// signatures were computed from them with OpenSSL and the public key of the emulators:
///     printf 'GET\n...' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(base64 -d <<<KEY | xxd -p -c 99) -binary |
///     base64
#include "azure/shared_key.hpp"
#include "tests/azure/container_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;

TEST_CASE("the example of the documentation is signed as it shows", "[azure][shared-key]") {
    const name_values query{{"restype", "container"}, {"comp", "metadata"}, {"timeout", "20"}};
    const name_values headers{{"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}, {"x-ms-version", "2015-02-21"}};
    const unsigned_request request{"GET", "/mycontainer", query, headers};
    CHECK(string_to_sign(request, "myaccount") ==
          "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
          "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
    CHECK(authorization_header(request, "myaccount", std::get<shared_key>(account_key())) ==
          "SharedKey myaccount:1u9lui2jDxj0+fpbHjQ5m5NnastJRSYM+PSmfi8TXx4=");
}

TEST_CASE("an empty body has an empty length, and others have theirs", "[azure][shared-key]") {
    const name_values query{{"restype", "container"}, {"timeout", "30"}};
    const name_values headers{{"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}, {"x-ms-version", "2015-02-21"}};
    CHECK(string_to_sign({"PUT", "/mycontainer", query, headers, 0}, "myaccount") ==
          "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
          "/myaccount/mycontainer\nrestype:container\ntimeout:30");
    CHECK(string_to_sign({"PUT", "/mycontainer", query, headers, 11}, "myaccount").starts_with("PUT\n\n\n11\n\n"));
}

TEST_CASE("standard headers are signed in their places", "[azure][shared-key]") {
    const name_values query;
    const name_values headers{{"content-md5", "md5"}, {"content-type", "type"},         {"if-match", "\"e\""},
                              {"if-none-match", "*"}, {"if-unmodified-since", "since"}, {"range", "bytes=0-9"},
                              {"x-ms-date", "date"}};
    CHECK(string_to_sign({"PUT", "/c/b", query, headers, 7}, "a") ==
          "PUT\n\n\n7\nmd5\ntype\n\n\n\"e\"\n*\nsince\nbytes=0-9\nx-ms-date:date\n/a/c/b");
}

TEST_CASE("parameters of one name are sorted and joined, and their names are in lower case", "[azure][shared-key]") {
    const name_values query{{"restype", "container"},        {"comp", "list"},
                            {"include", "snapshots"},        {"include", "metadata"},
                            {"include", "uncommittedblobs"}, {"Prefix", "a b/c"}};
    const name_values headers{{"x-ms-date", "d"}};
    CHECK(string_to_sign({"GET", "/container", query, headers}, "myaccount")
              .ends_with("/myaccount/container\ncomp:list\ninclude:metadata,snapshots,uncommittedblobs\n"
                         "prefix:a b/c\nrestype:container"));
}

TEST_CASE("an emulator's account comes twice in the resource", "[azure][shared-key]") {
    const name_values headers{{"x-ms-date", "d"}};
    CHECK(string_to_sign({"GET", "/devstoreaccount1/keep/a%20b", {}, headers}, "devstoreaccount1")
              .ends_with("\n/devstoreaccount1/devstoreaccount1/keep/a%20b"));
}

// The string to sign is that of the page "Create a service SAS", version 2020-12-06 and later:
// printf 'r\n\n2030-01-01T00:30:00Z\n/blob/acct/keep/k\n\n\n\n2021-12-02\nb\n\n\n\n\n\n\n' | openssl dgst ...
TEST_CASE("a signature lets one blob be read for a time", "[azure][shared-key]") {
    using namespace std::chrono;
    const sys_seconds end = sys_days(2030y / January / 1) + 30min;
    const name_values expected{{"sv", "2021-12-02"},
                               {"sr", "b"},
                               {"sp", "r"},
                               {"se", "2030-01-01T00:30:00Z"},
                               {"sig", "/tB3xr4+NNITvNBb10i3mpuZpxTL8Wfx1XbYcRqucYU="}};
    CHECK(blob_signature({"acct", "keep", "k", end}, std::get<shared_key>(account_key())) == expected);
}

// The service sorts by the rules of .NET for English (SharedKeyComparator in Microsoft's SDKs has its tables).
TEST_CASE("names of headers are sorted as the service sorts them", "[azure][shared-key]") {
    const name_values query;
    const name_values headers{{"x-ms-version", "v"},  {"x-ms-meta-ab", "1"}, {"x-ms-meta-a1", "2"},
                              {"x-ms-meta-a_b", "3"}, {"x-ms-meta-a", "4"},  {"x-ms-date", "d"},
                              {"x-ms-blob-type", "t"}};
    CHECK(string_to_sign({"PUT", "/c/b", query, headers}, "a")
              .ends_with("\nx-ms-blob-type:t\nx-ms-date:d\nx-ms-meta-a:4\nx-ms-meta-a_b:3\nx-ms-meta-a1:2\n"
                         "x-ms-meta-ab:1\nx-ms-version:v\n/a/c/b"));
}
