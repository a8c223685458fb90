#include "router/tokens.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::router;
using tokens = std::vector<std::string>;

namespace {

tokens collect(std::vector<net::header> headers, std::string query = {}) {
    net::request_head head;
    head.headers = std::move(headers);
    head.query = std::move(query);
    return collect_tokens(head);
}

}  // namespace

TEST_CASE("tokens come from the Authorization header", "[router][tokens]") {
    CHECK(collect({{"Authorization", "Bearer abc"}}) == tokens{"abc"});
    CHECK(collect({{"authorization", "OAuth2 v2/uuid/secret"}}) == tokens{"v2/uuid/secret"});
    CHECK(collect({{"Authorization", "  Bearer   abc  "}}) == tokens{"abc"});
    // Case matters for these two schemes, not for Basic.
    CHECK(collect({{"Authorization", "bearer abc"}}).empty());
    CHECK(collect({{"Authorization", "OAUTH2 abc"}}).empty());
    CHECK(collect({{"Authorization", "bAsIc dXNlcjpwYXNzd29yZA=="}}) == tokens{"password"});
    CHECK(collect({{"Authorization", "Basic dXNlcjo="}}) == tokens{""});
    CHECK(collect({{"Authorization", "Basic dXNlcg=="}}).empty());
    CHECK(collect({{"Authorization", "Basic ???"}}).empty());
    CHECK(collect({{"Authorization", "Bearer"}}).empty());
    CHECK(collect({{"Authorization", "Bearer "}}).empty());
    CHECK(collect({{"Authorization", "Bearer first"}, {"Authorization", "Bearer second"}}) == tokens{"first"});
}

TEST_CASE("tokens come from every api_token of the query and from the cookie, in this order", "[router][tokens]") {
    CHECK(collect({{"Authorization", "Bearer a"}, {"Cookie", "x=y; arvados_api_token=Y29va2ll"}},
                  "api_token=b&z=1&api_token=%20c+") == tokens{"a", "b", "c", "cookie"});
    CHECK(collect({}, "api_token=") == tokens{""});
    CHECK(collect({}, "api%5Ftoken=x") == tokens{"x"});
    CHECK(collect({}, "api_token=%zz").empty());
    CHECK(collect({}, "reader_tokens=x&API_TOKEN=y").empty());
    CHECK(collect({{"Cookie", "arvados_api_token="}}).empty());
    CHECK(collect({{"Cookie", "arvados_api_token=not base64"}}).empty());
    // The URL-safe alphabet: 0xfb 0xff is "-_8=".
    CHECK(collect({{"Cookie", "arvados_api_token=-_8="}}) == tokens{"\xfb\xff"});
}

TEST_CASE("an administrator's token is accepted in any position, and no other token is", "[router][tokens]") {
    const secret_token secret("s3cret");
    using enum admission;
    CHECK(require_literal_token(secret, {}, granted) == unauthorized);
    CHECK(require_literal_token(secret, {""}, granted) == forbidden);
    CHECK(require_literal_token(secret, {"S3cret"}, granted) == forbidden);
    CHECK(require_literal_token(secret, {"s3cret "}, granted) == forbidden);
    CHECK(require_literal_token(secret, {"s3cre"}, granted) == forbidden);
    CHECK(require_literal_token(secret, {"x", "s3cret"}, granted) == admission::granted);
    // An unset secret gives the caller's value, and the empty token never matches it.
    const secret_token unset("");
    CHECK(require_literal_token(unset, {""}, forbidden) == forbidden);
    CHECK(require_literal_token(unset, {}, granted) == admission::granted);
    CHECK_FALSE(unset.matches(""));
    CHECK_FALSE(secret_token{}.matches(""));
}

TEST_CASE("ping and inspect accept the exact Bearer form only", "[router][tokens]") {
    const secret_token secret("mgmt");
    CHECK(is_exact_bearer("Bearer mgmt", secret));
    CHECK_FALSE(is_exact_bearer("Bearer  mgmt", secret));
    CHECK_FALSE(is_exact_bearer("OAuth2 mgmt", secret));
    CHECK_FALSE(is_exact_bearer("Bearer ", secret_token("")));
}
