#include "azure/credentials/credentials.hpp"
#include "tests/azure/container_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::azure;
using namespace keepstore::test;
using cloud::secret_string;

namespace {

const std::string sas = "sv=2021-12-02&ss=b&sp=rwdl&se=2030-01-01T00%3A00%3A00Z&sig=abc%2Bdef%3D";

std::string refusal(const auto& outcome) {
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error() == errc::bad_request);
    return outcome.error().text;
}

}  // namespace

TEST_CASE("an account key is base64, with or without the line end of a file", "[azure][credentials]") {
    CHECK(parse_account_key(emulator_key)->key.reveal().size() == 64);
    CHECK(parse_account_key(" " + emulator_key + "\r\n")->key == parse_account_key(emulator_key)->key);
}

TEST_CASE("the refusal of an account key says what to do, and not the key", "[azure][credentials]") {
    const std::string secret = "S3cretThatMustNotShow";
    CHECK(refusal(parse_account_key("")).contains("empty"));
    for (const auto& text : {secret + "!", emulator_key.substr(0, 87), emulator_key + "\\"}) {
        const auto why = refusal(parse_account_key(text));
        CHECK(why.contains("Access keys"));
        CHECK_FALSE(why.contains(text.substr(0, 10)));
    }
    const auto pasted = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + emulator_key;
    const auto why = refusal(parse_account_key(pasted));
    CHECK(why.contains("connection string"));
    CHECK_FALSE(why.contains(emulator_key.substr(0, 10)));
    CHECK(refusal(parse_account_key(std::string(400, 'A'))).contains("300 bytes"));
}

TEST_CASE("a shared access signature comes with a question mark, in a URL, or alone", "[azure][credentials]") {
    for (const auto& text : {sas, "?" + sas, "https://acct.blob.core.windows.net/?" + sas, sas + "\n"}) {
        const auto parsed = parse_sas(text);
        REQUIRE(parsed.has_value());
        CHECK(parsed->parameters.size() == 5);
        CHECK(parsed->parameters.back() == std::pair<std::string, std::string>{"sig", "abc+def="});
        CHECK(parsed->expiry == "2030-01-01T00:00:00Z");
    }
}

TEST_CASE("the refusal of a shared access signature does not contain it", "[azure][credentials]") {
    for (const std::string text : {"", "sv=2021-12-02", "sig=S3cret", "sv=1&sig=S3cret&x", "sv=1&sig=%zzS3cret",
                                   "sv=1&sig=", "BlobEndpoint=https://a/;SharedAccessSignature=sv=1&sig=S3cret"}) {
        CAPTURE(text);
        CHECK_FALSE(refusal(parse_sas(text)).contains("S3cret"));
    }
}

TEST_CASE("the configuration selects one authorisation", "[azure][credentials]") {
    const secret_string key(emulator_key);
    CHECK(std::holds_alternative<shared_key>(*make_authorization({.account_key = key})));
    CHECK(std::holds_alternative<sas_token>(*make_authorization({.sas = secret_string(sas)})));
    CHECK(std::holds_alternative<token_cache>(*make_authorization({})));
    CHECK(refusal(make_authorization({.account_key = key, .sas = secret_string(sas)})).contains("both"));
    CHECK(refusal(make_authorization({.identity = {.endpoint = "169.254.169.254"}})).contains("http URL"));
}

TEST_CASE("the description of an authorisation has no secret", "[azure][credentials]") {
    CHECK(describe(account_key()) == "the account key");
    CHECK(describe(*parse_sas(sas)) == "a shared access signature, good until 2030-01-01T00:00:00Z");
    CHECK(describe(*parse_sas("sv=1&si=policy&sig=x")) == "a shared access signature");
    CHECK(describe(*make_authorization({})) == "the machine's managed identity");
}
