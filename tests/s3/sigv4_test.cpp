/// AWS's published examples: those of the S3 API reference ("Authenticating Requests: Using the Authorization Header")
/// and the general signature test suite, with their intermediate values.
#include "s3/sigv4.hpp"

#include "base/hex.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::s3;
using namespace std::chrono;

namespace {

struct vector_row {
    const char* name;
    const char* method;
    const char* path;
    name_values query;
    name_values headers;
    const char* body;
    const char* canonical_hash;
    const char* signature;
};

const sys_seconds s3_time = sys_days{year{2013} / 5 / 24};
const sys_seconds suite_time = sys_days{year{2015} / 8 / 30} + 12h + 36min;

signing_keys s3_keys() {
    return {"AKIAIOSFODNN7EXAMPLE", secret_string("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), secret_string()};
}
signing_keys suite_keys() {
    return {"AKIDEXAMPLE", secret_string("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), secret_string()};
}

std::string header(const name_values& headers, std::string_view name) {
    const auto found = std::ranges::find(headers, name, [](const auto& h) { return std::string_view(h.first); });
    return found == headers.end() ? "" : found->second;
}

}  // namespace

TEST_CASE("S3's documented examples are signed to the byte", "[s3][sigv4]") {
    const std::pair<std::string, std::string> host{"host", "examplebucket.s3.amazonaws.com"};
    const vector_row rows[] = {
        {"GET object",
         "GET",
         "/test.txt",
         {},
         {host, {"range", "bytes=0-9"}},
         "",
         "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT object",
         "PUT",
         "/test%24file.text",
         {},
         {host, {"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
         "Welcome to Amazon S3.",
         "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"GET lifecycle",
         "GET",
         "/",
         {{"lifecycle", ""}},
         {host},
         "",
         "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list",
         "GET",
         "/",
         {{"prefix", "J"}, {"max-keys", "2"}},
         {host},
         "",
         "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    signer s3_signer;
    for (const auto& row : rows) {
        CAPTURE(row.name);
        auto headers = row.headers;
        const auto query = canonical_query(row.query);
        const auto payload = to_hex(sha256(row.body));
        s3_signer.sign(row.method, row.path, query, headers, payload, "us-east-1", s3_keys(), s3_time);
        CHECK(header(headers, "x-amz-date") == "20130524T000000Z");
        CHECK(header(headers, "x-amz-content-sha256") == payload);
        CHECK(header(headers, "authorization").ends_with(std::string("Signature=") + row.signature));

        headers.pop_back();  // The Authorization itself is not signed.
        const auto canonical = canonical_request({row.method, row.path, query, headers, payload});
        CHECK(to_hex(sha256(canonical.text)) == row.canonical_hash);
    }
}

TEST_CASE("the Authorization header names scope and signed headers", "[s3][sigv4]") {
    signer s3_signer;
    name_values headers{{"host", "examplebucket.s3.amazonaws.com"}, {"range", "bytes=0-9"}};
    s3_signer.sign("GET", "/test.txt", "", headers, empty_payload_hash, "us-east-1", s3_keys(), s3_time);
    CHECK(header(headers, "authorization") ==
          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
          "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
          "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_CASE("the general test suite is signed to the byte", "[s3][sigv4]") {
    const std::pair<std::string, std::string> host{"host", "example.amazonaws.com"};
    const char* const unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const vector_row rows[] = {
        {"get-vanilla",
         "GET",
         "/",
         {},
         {host},
         "",
         "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "/",
         {{"Param2", "value2"}, {"Param1", "value1"}},
         {host},
         "",
         "816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-unreserved",
         "GET",
         "/",
         {{unreserved, unreserved}},
         {host},
         "",
         "c30d4703d9f799439be92736156d47ccfb2d879ddf56f5befa6d1d6aab979177",
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"get-vanilla-utf8-query",
         "GET",
         "/",
         {{"\xe1\x88\xb4", "bar"}},
         {host},
         "",
         "eb30c5bed55734080471a834cc727ae56beb50e5f39d1bff6d0d38cb192a7073",
         "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
        {"get-utf8",
         "GET",
         "/%E1%88%B4",
         {},
         {host},
         "",
         "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102",
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"get-header-value-trim",
         "GET",
         "/",
         {},
         {host, {"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}},
         "",
         "a726db9b0df21c14f559d0a978e563112acb1b9e05476f0a6a1c7d68f28605c7",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        {"post-vanilla",
         "POST",
         "/",
         {},
         {host},
         "",
         "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-x-www-form-urlencoded",
         "POST",
         "/",
         {},
         {{"content-type", "application/x-www-form-urlencoded"}, host},
         "Param1=value1",
         "42a5e5bb34198acb3e84da4f085bb7927f2bc277ca766e6d19c73c2154021281",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    };
    signer suite_signer("service");
    for (const auto& row : rows) {
        CAPTURE(row.name);
        auto headers = row.headers;
        const auto query = canonical_query(row.query);
        const auto payload = to_hex(sha256(row.body));
        suite_signer.sign(row.method, row.path, query, headers, payload, "us-east-1", suite_keys(), suite_time);
        CHECK(header(headers, "authorization").ends_with(std::string("Signature=") + row.signature));
        headers.pop_back();
        const auto canonical = canonical_request({row.method, row.path, query, headers, payload});
        CHECK(to_hex(sha256(canonical.text)) == row.canonical_hash);
    }
}

TEST_CASE("the documented signing key is derived", "[s3][sigv4]") {
    const auto key = signing_key(suite_keys().secret_access_key, "20150830", "us-east-1", "iam");
    CHECK(to_hex(key) == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

TEST_CASE("a query is sorted after it is encoded, and encoded once", "[s3][sigv4]") {
    // Raw, 'a' < 'ä'; encoded, "%C3%A4" sorts before "a".
    CHECK(canonical_query({{"a", "1"}, {"\xc3\xa4", "2"}}) == "%C3%A4=2&a=1");
    CHECK(canonical_query({{"prefix", "trash/ab"}, {"list-type", "2"}}) == "list-type=2&prefix=trash%2Fab");
    CHECK(canonical_query({{"uploads", ""}}) == "uploads=");
    CHECK(canonical_query({{"k", "b"}, {"k", "a"}}) == "k=a&k=b");
    CHECK(canonical_query({}).empty());
    CHECK(uri_encode("a b+c%2F/\xff~", encode_slash::yes) == "a%20b%2Bc%252F%2F%FF~");
    CHECK(uri_encode("a//./b c", encode_slash::no) == "a//./b%20c");
}

TEST_CASE("temporary keys sign their session token", "[s3][sigv4]") {
    signer s3_signer;
    auto keys = s3_keys();
    keys.session_token = secret_string("token/with+signs=");
    name_values headers{{"host", "h"}};
    s3_signer.sign("GET", "/", "", headers, unsigned_payload, "us-east-1", keys, s3_time);
    CHECK(header(headers, "x-amz-security-token") == "token/with+signs=");
    CHECK(header(headers, "x-amz-content-sha256") == "UNSIGNED-PAYLOAD");
    CHECK(header(headers, "authorization").find("x-amz-date;x-amz-security-token,") != std::string::npos);
}

TEST_CASE("the cached signing key follows day, region and secret", "[s3][sigv4]") {
    signer kept;
    const auto signature = [](signer& with, const signing_keys& keys, const char* region, sys_seconds at) {
        name_values headers{{"host", "h"}};
        with.sign("GET", "/", "", headers, empty_payload_hash, region, keys, at);
        return header(headers, "authorization");
    };
    auto other = s3_keys();
    other.secret_access_key = secret_string("other");
    for (const auto& keys : {s3_keys(), other, s3_keys()}) {
        for (const auto* region : {"us-east-1", "eu-west-1"}) {
            for (const auto at : {s3_time, s3_time + 24h, s3_time + 1h}) {
                signer fresh;
                CHECK(signature(kept, keys, region, at) == signature(fresh, keys, region, at));
            }
        }
    }
}

TEST_CASE("signing times have AWS's basic form", "[s3][sigv4]") {
    CHECK(format_signing_time(sys_days{year{2013} / 5 / 24}) == "20130524T000000Z");
    CHECK(format_signing_time(sys_days{year{2015} / 8 / 30} + 12h + 36min) == "20150830T123600Z");
}
