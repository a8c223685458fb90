/// Sources of keys, each with the failures that other clients had (see the names of the cases).
#include "s3/credentials/run_process.hpp"
#include "s3/error.hpp"
#include "tests/s3/credentials/credential_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

TEST_CASE("the environment's keys come first, half a pair is an error", "[s3][credentials]") {
    auto got = fetch(chain({{"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "S"}, {"AWS_SESSION_TOKEN", "T"}}));
    REQUIRE(got.has_value());
    CHECK(got->keys.access_key_id == "A");
    CHECK(got->keys.secret_access_key.reveal() == "S");
    CHECK(got->keys.session_token.reveal() == "T");
    CHECK(got->source == "environment");
    got = fetch(chain({{"AWS_ACCESS_KEY_ID", "A"}}));
    REQUIRE_FALSE(got.has_value());
    CHECK(kind(got) == error_kind::bad_credentials);
    CHECK(got.error().text.find("AWS_SECRET_ACCESS_KEY") != std::string::npos);
}

TEST_CASE("without any source the error lists those that were tried", "[s3][credentials]") {
    const auto got = fetch(chain({}));
    REQUIRE_FALSE(got.has_value());
    CHECK(kind(got) == error_kind::bad_credentials);
    CHECK(got.error() == errc::unavailable);
    CHECK(got.error().text.starts_with("no credentials in the configuration, the environment, ~/.aws"));
    credentials_config half;
    half.access_key_id = "A";
    CHECK_FALSE(make_credentials(half).has_value());
}

TEST_CASE("profiles are read from the shared files", "[s3][credentials]") {
    const temp_dir dir;
    write(dir.path() / "credentials",
          "[default]\naws_access_key_id = D\naws_secret_access_key = S\n[keep]\naws_access_key_id = K\n"
          "aws_secret_access_key = S\naws_session_token = T\n");
    write(dir.path() / "config",
          "[profile conf]\naws_access_key_id = C\naws_secret_access_key = S\n[profile sso]\n"
          "sso_session = x\n[profile empty]\nregion = r\n");
    variables env{{"AWS_SHARED_CREDENTIALS_FILE", (dir.path() / "credentials").string()},
                  {"AWS_CONFIG_FILE", (dir.path() / "config").string()}};
    CHECK(key_of(fetch(chain(env))) == "D");
    env["AWS_PROFILE"] = "keep";
    CHECK(key_of(fetch(chain(env))) == "K");
    env["AWS_PROFILE"] = "conf";
    CHECK(key_of(fetch(chain(env))) == "C");
    env["AWS_PROFILE"] = "sso";
    CHECK(key_of(fetch(chain(env))).find("credential_process = aws configure export-credentials") != std::string::npos);
    env["AWS_PROFILE"] = "missing";
    CHECK(key_of(fetch(chain(env))).find("there is no profile missing") != std::string::npos);
    env["AWS_PROFILE"] = "empty";
    CHECK(key_of(fetch(chain(env))).starts_with("error: no credentials in"));

    // In ~/.aws without variables.
    std::filesystem::create_directory(dir.path() / ".aws");
    std::filesystem::rename(dir.path() / "credentials", dir.path() / ".aws" / "credentials");
    CHECK(key_of(fetch(chain({{"HOME", dir.path().string()}}))) == "D");
}

TEST_CASE("credential_process is run and its keys are used", "[s3][credentials]") {
    const temp_dir dir;
    const auto with = [&](const std::string& command) {
        write(dir.path() / "config", "[default]\ncredential_process = " + command + "\n");
        return fetch(chain({{"AWS_CONFIG_FILE", (dir.path() / "config").string()}}));
    };
    const auto got = with(
        "printf "
        "'{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"T\",\"Expiration\":\"" +
        far + "\"}'");
    CHECK(key_of(got) == "P");
    CHECK(got->keys.session_token.reveal() == "T");
    CHECK(got->expires_at.has_value());
    CHECK(key_of(with("echo nonsense")).find("returned no JSON") != std::string::npos);
    CHECK(key_of(with("echo '{}'")).find("incomplete credentials") != std::string::npos);
    CHECK(key_of(with("exit 3")).find("ended with status 3") != std::string::npos);
    CHECK(key_of(with("/nonexistent/command")).find("status 127") != std::string::npos);
    CHECK(key_of(with("kill -9 $$")).find("was killed") != std::string::npos);
}

TEST_CASE("a command that hangs or writes too much is killed with its child processes", "[s3][credentials]") {
    const auto began = steady_clock::now();
    const auto hung = run_process("sleep 100 & sleep 100", 1000, deadline::in(milliseconds(200)));
    REQUIRE_FALSE(hung.has_value());
    CHECK(hung.error() == errc::timeout);
    CHECK(steady_clock::now() - began < seconds(10));
    CHECK(run_process("yes", 100'000, deadline::in(seconds(10))).error() == errc::too_large);
    CHECK(run_process("echo hi; echo secret >&2", 1000, deadline::in(seconds(10))) == std::string("hi\n"));
    CHECK(run_process("cat", 1000, deadline::in(seconds(10))) == std::string());  // No input.
}

TEST_CASE("a role is assumed with the keys of its source", "[s3][credentials]") {
    stub_service sts([](const seen_request& r, std::size_t) {
        if (r.body.find("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fdenied") != std::string::npos) {
            return stub_reply{.status = 403,
                              .body = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"};
        }
        return stub_reply{.body = sts_keys("ROLE")};
    });
    const temp_dir dir;
    write(dir.path() / "config",
          "[profile base]\naws_access_key_id = BASE\naws_secret_access_key = S\n"
          "[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nexternal_id = x y\n"
          "role_session_name = me\nduration_seconds = 900\nregion = eu-west-1\n"
          "[profile twice]\nrole_arn = arn:aws:iam::1:role/2\nsource_profile = role\n"
          "[profile own]\nrole_arn = arn:aws:iam::1:role/o\nsource_profile = own\naws_access_key_id = "
          "OWN\naws_secret_access_key = S\n"
          "[profile env]\nrole_arn = arn:aws:iam::1:role/e\ncredential_source = Environment\n"
          "[profile denied]\nrole_arn = arn:aws:iam::1:role/denied\nsource_profile = base\n"
          "[profile a]\nrole_arn = x\nsource_profile = b\n[profile b]\nrole_arn = x\nsource_profile = a\n"
          "[profile nowhere]\nrole_arn = x\n[profile mfa]\nrole_arn = x\nsource_profile = base\nmfa_serial = y\n");
    const auto with = [&](const std::string& profile) {
        return fetch(chain({{"AWS_CONFIG_FILE", (dir.path() / "config").string()},
                            {"AWS_PROFILE", profile},
                            {"AWS_ENDPOINT_URL_STS", sts.url()}}));
    };
    const auto got = with("role");
    CHECK(key_of(got) == "ROLE");
    CHECK(got->expires_at.has_value());
    const auto asked = sts.seen().at(0);
    CHECK(asked.method == "POST");
    CHECK(asked.body ==
          "Action=AssumeRole&DurationSeconds=900&ExternalId=x%20y&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"
          "&RoleSessionName=me&Version=2011-06-15");
    CHECK(asked.header("authorization").find("Credential=BASE/") != std::string::npos);
    CHECK(asked.header("authorization").find("/eu-west-1/sts/aws4_request") != std::string::npos);
    CHECK(asked.header("x-amz-content-sha256").empty());  // S3's own header.

    CHECK(key_of(with("twice")) == "ROLE");
    CHECK(sts.seen().at(2).header("authorization").find("Credential=ROLE/") != std::string::npos);
    CHECK(sts.seen().at(2).header("x-amz-security-token") == "t");
    CHECK(key_of(with("own")) == "ROLE");
    CHECK(sts.seen().at(3).header("authorization").find("Credential=OWN/") != std::string::npos);
    CHECK(key_of(with("denied")).find("STS returned 403 AccessDenied") != std::string::npos);
    CHECK(key_of(with("a")).find("refers back to it") != std::string::npos);
    CHECK(key_of(with("nowhere")).find("no source_profile") != std::string::npos);
    CHECK(key_of(with("mfa")).find("mfa_serial") != std::string::npos);
    CHECK(key_of(with("env")).find("has no keys") != std::string::npos);
}

TEST_CASE("a web identity's token is read for each fetch", "[s3][credentials]") {
    stub_service sts([](const seen_request&, std::size_t number) {
        return stub_reply{.body = sts_keys("W" + std::to_string(number))};
    });
    const temp_dir dir;
    const auto file = dir.path() / "token";
    write(file, "first.jwt\n");
    variables env{{"AWS_WEB_IDENTITY_TOKEN_FILE", file.string()},
                  {"AWS_ROLE_ARN", "arn:aws:iam::1:role/pod"},
                  {"AWS_ROLE_SESSION_NAME", "pod"},
                  {"AWS_ENDPOINT_URL_STS", sts.url()}};
    const auto keys = chain(env);
    auto got = fetch(keys);
    REQUIRE(key_of(got) == "W0");
    CHECK(sts.seen().at(0).body.find("Action=AssumeRoleWithWebIdentity&") == 0);
    CHECK(sts.seen().at(0).body.find("WebIdentityToken=first.jwt") != std::string::npos);
    CHECK(sts.seen().at(0).header("authorization").empty());
    write(file, "second.jwt");
    got = run(keys->renew(*got, soon()));
    CHECK(key_of(got) == "W1");
    CHECK(sts.seen().at(1).body.find("WebIdentityToken=second.jwt") != std::string::npos);

    // Configured and broken is an error; the chain does not go on to another identity.
    env.erase("AWS_ROLE_ARN");
    CHECK(key_of(fetch(chain(env))).find("AWS_ROLE_ARN is not") != std::string::npos);
    env["AWS_ROLE_ARN"] = "r";
    env["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nonexistent/token";
    CHECK(key_of(fetch(chain(env))).find("/nonexistent/token") != std::string::npos);
}

TEST_CASE("an expired web identity is reported as such", "[s3][credentials]") {
    stub_service sts([](const seen_request&, std::size_t) {
        return stub_reply{.status = 400,
                          .body = "<ErrorResponse><Error><Code>ExpiredTokenException</Code></Error></ErrorResponse>"};
    });
    const temp_dir dir;
    write(dir.path() / "token", "t");
    const auto got = fetch(chain({{"AWS_WEB_IDENTITY_TOKEN_FILE", (dir.path() / "token").string()},
                                  {"AWS_ROLE_ARN", "r"},
                                  {"AWS_ENDPOINT_URL_STS", sts.url()}}));
    CHECK(kind(got) == error_kind::expired_token);
}

TEST_CASE("a container's token is sent without Bearer, and read for each fetch", "[s3][credentials]") {
    stub_service pod([](const seen_request& r, std::size_t) {
        // EKS Pod Identity returns 400 to "Bearer".
        if (r.header("authorization").starts_with("Bearer")) return stub_reply{.status = 400};
        return stub_reply{.body = json_keys("POD-" + r.header("authorization"))};
    });
    const temp_dir dir;
    write(dir.path() / "token", "abc\n");
    variables env{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", pod.url() + "/v1/credentials?x=1"},
                  {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "from-variable"},
                  {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", (dir.path() / "token").string()}};
    const auto keys = chain(env);
    auto got = fetch(keys);
    CHECK(key_of(got) == "POD-abc");
    CHECK(pod.seen().at(0).target == "/v1/credentials?x=1");
    write(dir.path() / "token", "def");
    CHECK(key_of(run(keys->renew(*got, soon()))) == "POD-def");
    env.erase("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    CHECK(key_of(fetch(chain(env))) == "POD-from-variable");

    env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "a\r\nx: y";
    CHECK(key_of(fetch(chain(env))).find("control characters") != std::string::npos);
    // The token must not be sent to another host in clear text.
    env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://192.0.2.1/credentials";
    CHECK(key_of(fetch(chain(env))).find("must be https") != std::string::npos);
}

TEST_CASE("instance metadata is fetched by version 2 only", "[s3][credentials]") {
    stub_service imds([](const seen_request& r, std::size_t) { return metadata(r); });
    const variables env{{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url()}};
    const auto got = fetch(chain(env));
    CHECK(key_of(got) == "IMDS");
    CHECK(got->keys.session_token.reveal() == "t");
    CHECK(got->source == "instance role keep-role");
    REQUIRE(imds.count() == 3);

    CHECK(key_of(fetch(chain(env, {.iam_role = "keep-role"}))) == "IMDS");
    CHECK(imds.count() == 5);  // The role's name is not fetched.
    CHECK(key_of(fetch(chain(env, {.iam_role = "other"}))).find("does not have the role other") != std::string::npos);
}

TEST_CASE("errors distinguish instance metadata without version 2, without a role, and malformed",
          "[s3][credentials]") {
    const std::tuple<const char*, stub_reply, stub_reply, const char*> rows[] = {
        {"version 1 only", {.status = 404}, {.body = "role"}, "refuses a version 2 session token (status 404)"},
        {"disabled", {.status = 403}, {.body = "role"}, "refuses a version 2 session token (status 403)"},
        {"no role", {.body = "T"}, {.status = 404}, "no role is attached"},
        {"empty list", {.body = "T"}, {.body = ""}, "no role is attached"},
        {"not JSON", {.body = "T"}, {.body = "<html>"}, "returned no JSON"},
    };
    for (const auto& [name, token, rest, words] : rows) {
        CAPTURE(name);
        stub_service imds([&](const seen_request& r, std::size_t) { return r.method == "PUT" ? token : rest; });
        const auto got = fetch(chain({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url()}}));
        CHECK(key_of(got).find(words) != std::string::npos);
    }
    // Keys without an expiry would be used for ever.
    stub_service endless([](const seen_request& r, std::size_t) {
        if (r.method == "PUT") return stub_reply{.body = "T"};
        if (r.target.ends_with('/')) return stub_reply{.body = "role"};
        return stub_reply{.body = R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T"})"};
    });
    CHECK(key_of(fetch(chain({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", endless.url()}}))).find("incomplete credentials") !=
          std::string::npos);
}

TEST_CASE("a credential service that fails for a moment is retried", "[s3][credentials]") {
    stub_service imds([](const seen_request& r, std::size_t number) {
        if (number == 0) return stub_reply{.hang_up = true};
        if (number == 2) return stub_reply{.status = 500};
        return metadata(r);
    });
    CHECK(key_of(fetch(chain({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url()}}))) == "IMDS");
}
