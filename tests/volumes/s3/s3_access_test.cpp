// What an S3 volume takes from the environment, as the tools of AWS do.
#include "volumes/s3/access.hpp"

#include "tests/s3/credentials/credential_fixture.hpp"
#include "tests/support/proxy_server.hpp"
#include "tests/volumes/stub_volume.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {

TEST_CASE("keys of a role are fetched through the proxy of the environment", "[volumes][s3][credentials][proxy]") {
    stub_service sts([](const seen_request&, std::size_t) { return stub_reply{.body = sts_keys("ROLE")}; });
    proxy_server between;
    const temp_dir dir;
    write(dir.path() / "token", "t");
    auto options = stub_options("http://s3.invalid", 1);
    options.access_key_id.clear();
    options.secret_access_key = {};
    options.env = environment_of({{"http_proxy", between.address()},
                                  {"AWS_WEB_IDENTITY_TOKEN_FILE", (dir.path() / "token").string()},
                                  {"AWS_ROLE_ARN", "r"},
                                  {"AWS_ENDPOINT_URL_STS", sts.url()}});
    const auto access = volumes::s3::make_access(options);
    REQUIRE(access);
    CHECK(key_of(fetch(access->keys)) == "ROLE");
    CHECK(between.requests() == std::vector<std::string>{"POST " + sts.url() + "/ HTTP/1.1"});
}

}  // namespace keepstore::test
