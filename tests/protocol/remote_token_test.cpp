#include "protocol/remote_token.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace keepstore;

namespace {

const std::string token = "v2/zzzzz-gj3su-077z32aux8dg2s1/3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi";
const std::string salted = "v2/zzzzz-gj3su-077z32aux8dg2s1/cc6a529e5f8f26732d000ecb9f4fc803d7e6a6eb";

}  // namespace

TEST_CASE("a token is salted for the cluster that receives it", "[protocol][remote]") {
    const auto salt = [](std::string_view t, std::string_view id = "z0000") {
        const auto out = protocol::salt_token(t, id);
        return out ? *out : out.error().text;
    };
    CHECK(salt(token) == salted);
    CHECK(salt(token + "/extra/parts") == salted);
    CHECK(salt(token, "zzzzz") == token);  // It is that cluster's own.
    CHECK(salt("v2/zzzzz-gj3su-077z32aux8dg2s1/0123456789012345678901234567890123456789") == "token already salted");
    CHECK(salt("3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi") == "obsolete token format");
    CHECK(salt("3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zr") == "badly formatted token");
    for (const auto* wrong :
         {"v2/zzzzz-gj3su-077z32aux8dg2s1/secret\r\nX-Other: y", "v2/zzzzz-gj3su-077z\1z32/secret", "v2/zzzzz/\x7f",
          "\n", "", "v2", "v2/", "v2/uuid", "V2/zzzzz-gj3su-077z32aux8dg2s1/secret", "v1/a/b", "UPPER"}) {
        INFO(wrong);
        CHECK(salt(wrong) == "badly formatted token");
    }
    CHECK(protocol::salt_token("3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi", "z0000").error() ==
          errc::bad_request);
    CHECK(protocol::salt_token("junk", "z0000").error() == errc::io_error);
    // A token that cannot be sent is refused, also for the cluster that issued it.
    CHECK(salt(token + "\r\nX: y", "zzzzz") == "badly formatted token");
}
