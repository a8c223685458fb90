#include "azure/blob_address.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::azure;

namespace {

std::string address_of(std::string_view endpoint, std::string_view key = "abc") {
    const auto made =
        make_blob_address({.endpoint = endpoint, .suffix = "core.windows.net", .account = "acct", .container = "keep"});
    return made ? net::to_string(made->to) + made->path_of(key) : "error: " + made.error().text;
}

bool is_refused(std::string_view account, std::string_view container) {
    const auto made =
        make_blob_address({.endpoint = "", .suffix = "core.windows.net", .account = account, .container = container});
    return !made && made.error() == errc::bad_request;
}

}  // namespace

TEST_CASE("without an endpoint it is that of the account", "[azure][address]") {
    CHECK(address_of("") == "https://acct.blob.core.windows.net:443/keep/abc");
    CHECK(address_of("", "") == "https://acct.blob.core.windows.net:443/keep");
}

TEST_CASE("an endpoint is a URL, or a host with or without a port", "[azure][address]") {
    CHECK(address_of("https://acct.blob.core.chinacloudapi.cn/") ==
          "https://acct.blob.core.chinacloudapi.cn:443/keep/abc");
    CHECK(address_of("blob.example:8443") == "https://blob.example:8443/keep/abc");
    CHECK(address_of("http://blob.example/base/") == "http://blob.example:80/base/keep/abc");
}

TEST_CASE("the path of an emulator begins with the account", "[azure][address]") {
    CHECK(address_of("http://127.0.0.1:10000/acct") == "http://127.0.0.1:10000/acct/keep/abc");
    CHECK(address_of("http://127.0.0.1:10000") == "http://127.0.0.1:10000/acct/keep/abc");
    CHECK(address_of("http://[::1]:10000/") == "http://[::1]:10000/acct/keep/abc");
}

TEST_CASE("names of blobs are encoded in the path, but for slashes", "[azure][address]") {
    CHECK(address_of("", "a b/%?#") == "https://acct.blob.core.windows.net:443/keep/a%20b/%25%3F%23");
}

TEST_CASE("malformed names and endpoints are refused", "[azure][address]") {
    for (const auto* account :
         {"", "ab", "Upper", "with-dash", "acct.blob.core.windows.net", "a23456789012345678901234x"})
        CHECK(is_refused(account, "keep"));
    for (const auto* container : {"", "ab", "Upper", "-abc", "abc-", "a--b", "a_b", "a/b", "$"})
        CHECK(is_refused("acct", container));
    CHECK_FALSE(is_refused("acct", "$root"));
    CHECK_FALSE(is_refused("acct", "a-b-c"));
    for (const auto* endpoint : {"ftp://x", "https://", "https://host/?comp=list", "https://user@host"})
        CHECK(address_of(endpoint).starts_with("error: "));
}
