/// Which source is used, and what a profile may consist of.
#include "s3/credentials/container_credentials.hpp"
#include "s3/credentials/profile_source.hpp"
#include "s3/credentials/run_process.hpp"
#include "s3/credentials/sts.hpp"
#include "s3/error.hpp"
#include "tests/s3/credentials/credential_fixture.hpp"
#include "tests/support/proxy_server.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <thread>

using namespace keepstore;
using namespace keepstore::s3;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

/// STS, a container's endpoint and instance metadata in one. STS returns the keys of the request in its response.
stub_reply all_services(const seen_request& r) {
    if (r.method == "POST") {
        if (r.body.find("WebIdentityToken=") != std::string::npos) return {.body = sts_keys("WEB")};
        const auto signature = r.header("authorization");
        const auto begin = signature.find("Credential=") + 11;
        return {.body = sts_keys("ROLE-WITH-" + signature.substr(begin, signature.find('/') - begin))};
    }
    if (r.target == "/container") return {.body = json_keys("CONTAINER")};
    return metadata(r);
}

std::string keys_printed(const std::string& id) {
    return "printf '{\"Version\":1,\"AccessKeyId\":\"" + id + "\",\"SecretAccessKey\":\"S\"}'";
}

}  // namespace

TEST_CASE("the first source that is configured is used", "[s3][credentials]") {
    stub_service services([](const seen_request& r, std::size_t) { return all_services(r); });
    const temp_dir dir;
    write(dir.path() / "token", "t");
    write(dir.path() / "credentials", "[default]\naws_access_key_id = PROFILE\naws_secret_access_key = S\n");
    variables env{{"AWS_ACCESS_KEY_ID", "ENVIRONMENT"},
                  {"AWS_SECRET_ACCESS_KEY", "S"},
                  {"AWS_WEB_IDENTITY_TOKEN_FILE", (dir.path() / "token").string()},
                  {"AWS_ROLE_ARN", "r"},
                  {"AWS_ENDPOINT_URL_STS", services.url()},
                  {"AWS_SHARED_CREDENTIALS_FILE", (dir.path() / "credentials").string()},
                  {"AWS_CONTAINER_CREDENTIALS_FULL_URI", services.url() + "/container"},
                  {"AWS_EC2_METADATA_SERVICE_ENDPOINT", services.url()}};
    CHECK(key_of(fetch(chain(env, {.access_key_id = "CONFIGURATION", .secret_access_key = secret_string("S")}))) ==
          "CONFIGURATION");
    CHECK(key_of(fetch(chain(env))) == "ENVIRONMENT");
    CHECK(services.count() == 0);
    env.erase("AWS_ACCESS_KEY_ID");
    env.erase("AWS_SECRET_ACCESS_KEY");
    CHECK(key_of(fetch(chain(env))) == "WEB");
    env.erase("AWS_WEB_IDENTITY_TOKEN_FILE");
    CHECK(key_of(fetch(chain(env))) == "PROFILE");
    env.erase("AWS_SHARED_CREDENTIALS_FILE");
    CHECK(key_of(fetch(chain(env))) == "CONTAINER");
    env.erase("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    CHECK(key_of(fetch(chain(env))) == "IMDS");
    env.erase("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    CHECK(key_of(fetch(chain(env))).starts_with("error: no credentials in"));
    // A role of the configuration and nothing else.
    env["AWS_ACCESS_KEY_ID"] = "ENVIRONMENT";
    env["AWS_SECRET_ACCESS_KEY"] = "S";
    env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = services.url();
    CHECK(key_of(fetch(chain(env, {.iam_role = "keep-role"}))) == "IMDS");
}

TEST_CASE("a proxy leads to STS, and never to a container's endpoint or instance metadata",
          "[s3][credentials][proxy]") {
    stub_service services([](const seen_request& r, std::size_t) { return all_services(r); });
    const temp_dir dir;
    write(dir.path() / "token", "t");
    proxy_server between;
    const auto rules = net::proxy_rules::from_environment([&](std::string_view name) -> std::optional<std::string> {
        if (name == "http_proxy") return between.address();
        return std::nullopt;
    });
    REQUIRE(rules.has_value());
    variables env{{"AWS_WEB_IDENTITY_TOKEN_FILE", (dir.path() / "token").string()},
                  {"AWS_ROLE_ARN", "r"},
                  {"AWS_ENDPOINT_URL_STS", services.url()},
                  {"AWS_CONTAINER_CREDENTIALS_FULL_URI", services.url() + "/container"},
                  {"AWS_EC2_METADATA_SERVICE_ENDPOINT", services.url()}};
    CHECK(key_of(fetch(chain(env, {.proxies = *rules}))) == "WEB");
    CHECK(between.requests() == std::vector<std::string>{"POST " + services.url() + "/ HTTP/1.1"});
    env.erase("AWS_WEB_IDENTITY_TOKEN_FILE");
    CHECK(key_of(fetch(chain(env, {.proxies = *rules}))) == "CONTAINER");
    env.erase("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    CHECK(key_of(fetch(chain(env, {.proxies = *rules}))) == "IMDS");
    CHECK(between.requests().size() == 1);
}

TEST_CASE("a role is assumed with the keys that its profile refers to", "[s3][credentials]") {
    stub_service services([](const seen_request& r, std::size_t) { return all_services(r); });
    const temp_dir dir;
    const std::string own_keys = "aws_access_key_id = OWN\naws_secret_access_key = S\n";
    const std::string base = "[profile base]\naws_access_key_id = BASE\naws_secret_access_key = S\n";
    const std::string role = "role_arn = r\n";
    const std::tuple<const char*, std::string, const char*> rows[] = {
        {"own keys", role + own_keys, "ROLE-WITH-OWN"},
        {"own command", role + "credential_process = " + keys_printed("COMMAND") + "\n", "ROLE-WITH-COMMAND"},
        {"own keys before the command", role + own_keys + "credential_process = false\n", "ROLE-WITH-OWN"},
        {"own keys before a credential_source", role + own_keys + "credential_source = Environment\n", "ROLE-WITH-OWN"},
        {"own keys before a web identity", role + own_keys + "web_identity_token_file = /nonexistent\n",
         "ROLE-WITH-OWN"},
        {"web identity before a command",
         role + "credential_process = false\nweb_identity_token_file = " + (dir.path() / "token").string() + "\n",
         "WEB"},
        {"another profile before own keys", role + own_keys + "source_profile = base\n" + base, "ROLE-WITH-BASE"},
        {"itself", role + own_keys + "source_profile = default\n", "ROLE-WITH-OWN"},
        {"itself, with a command", role + "source_profile = default\ncredential_process = " + keys_printed("C") + "\n",
         "ROLE-WITH-C"},
        // The last role is assumed with the keys of the one before it.
        {"a role with own keys as the source",
         role + "source_profile = mid\n[profile mid]\nrole_arn = m\nsource_profile = base\n" + own_keys + base,
         "ROLE-WITH-ROLE-WITH-OWN"},
        {"a circle that ends in keys",
         role + own_keys + "source_profile = mid\n[profile mid]\nrole_arn = m\nsource_profile = default\n",
         "ROLE-WITH-ROLE-WITH-OWN"},
        {"environment", role + "credential_source = Environment\n", "ROLE-WITH-ENVIRONMENT"},
        {"instance", role + "credential_source = Ec2InstanceMetadata\n", "ROLE-WITH-IMDS"},
        {"container", role + "credential_source = EcsContainer\n", "ROLE-WITH-CONTAINER"},
        {"nothing said", role, "ROLE-WITH-CONTAINER"},
        {"something else said", role + "credential_source = Elsewhere\n",
         "error: credential_source of profile default is none of"},
    };
    write(dir.path() / "token", "t");
    const auto with = [&](const variables& env) {
        auto http = net::client::make({});
        auto sts = net::client::make({});
        const auto context = std::make_shared<const source_context>(
            source_context{.env = environment_of(env),
                           .region = "",
                           .now = system_wall_clock(),
                           .container_service = services.url(),
                           .http = std::move(*http),
                           .sts = std::move(*sts),
                           .threads = std::make_unique<blocking_pool>(blocking_pool::options{.name = "test"})});
        profile_source source(context);
        return key_of(run(source.fetch(soon())));
    };
    variables env{{"AWS_ACCESS_KEY_ID", "ENVIRONMENT"},
                  {"AWS_SECRET_ACCESS_KEY", "S"},
                  {"AWS_CONFIG_FILE", (dir.path() / "config").string()},
                  {"AWS_ENDPOINT_URL_STS", services.url()},
                  {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/container"},
                  {"AWS_EC2_METADATA_SERVICE_ENDPOINT", services.url()}};
    for (const auto& [name, config, expected] : rows) {
        CAPTURE(name);
        write(dir.path() / "config", "[default]\n" + config);
        const auto got = with(env);
        CHECK(got.substr(0, std::string_view(expected).size()) == expected);
    }
    write(dir.path() / "config", "[default]\nrole_arn = r\n");
    env.erase("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    CHECK(with(env) == "ROLE-WITH-IMDS");
}

TEST_CASE("a shared file that cannot be read is ignored, unless a variable names it", "[s3][credentials]") {
    stub_service imds([](const seen_request& r, std::size_t) { return metadata(r); });
    const temp_dir dir;
    std::filesystem::create_directories(dir.path() / ".aws" / "config");
    const variables env{{"HOME", dir.path().string()}, {"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url()}};
    CHECK(key_of(fetch(chain(env))) == "IMDS");
    // The other file is used.
    write(dir.path() / ".aws" / "credentials", "[default]\naws_access_key_id = D\naws_secret_access_key = S\n");
    CHECK(key_of(fetch(chain(env))) == "D");

    const auto unreadable = (dir.path() / ".aws" / "config").string();
    for (const auto& [name, value] : variables{{"AWS_PROFILE", "default"},
                                               {"AWS_CONFIG_FILE", unreadable},
                                               {"AWS_SHARED_CREDENTIALS_FILE", unreadable}}) {
        CAPTURE(name);
        auto asked = env;
        asked[name] = value;
        const auto got = fetch(chain(asked));
        CHECK(kind(got) == error_kind::bad_credentials);
        CHECK(key_of(got).find("cannot read " + unreadable + ": Is a directory") != std::string::npos);
    }
}

TEST_CASE("a container's relative URI is resolved against the ECS agent", "[s3][credentials]") {
    stub_service agent([](const seen_request& r, std::size_t) {
        return r.target == "/v2/credentials/id" ? stub_reply{.body = json_keys("ECS")} : stub_reply{.status = 404};
    });
    const variables env{{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/id"},
                        {"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url() + "/not/this"}};
    CHECK(key_of(fetch(chain(env, {.container_service = agent.url()}))) == "ECS");
    CHECK(credentials_config().container_service == "http://169.254.170.2");
}

TEST_CASE("a container's token is sent in clear text to this host and its agents only", "[s3][credentials]") {
    for (const auto* host : {"localhost", "127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1", "169.254.170.2",
                             "169.254.170.23", "fd00:ec2::23", "::ffff:169.254.170.2"}) {
        CAPTURE(host);
        CHECK(is_trusted_host(host));
    }
    for (const auto* host :
         {"127.evil.example", "127.0.0.1.evil.example", "127.0.0.1.", "127.1", "localhost.evil.example",
          "169.254.169.254", "128.0.0.1", "::2", "::ffff:10.0.0.1", "fd00:ec2::24", "0.0.0.0", ""}) {
        CAPTURE(host);
        CHECK_FALSE(is_trusted_host(host));
    }
    const auto got = fetch(chain({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.evil.example/credentials"},
                                  {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret"}}));
    CHECK(key_of(got).find("must be https") != std::string::npos);
}

TEST_CASE("STS is that of the region, or the one in the environment", "[s3][credentials]") {
    const std::pair<const char*, const char*> regions[] = {
        {"us-east-1", "https://sts.us-east-1.amazonaws.com"},
        {"eu-west-1", "https://sts.eu-west-1.amazonaws.com"},
        {"cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn"},
        {"us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com"},
        {"us-iso-east-1", "https://sts.us-iso-east-1.c2s.ic.gov"},
        {"us-isob-east-1", "https://sts.us-isob-east-1.sc2s.sgov.gov"},
        {"us-isof-south-1", "https://sts.us-isof-south-1.csp.hci.ic.gov"},
        {"eu-isoe-west-1", "https://sts.eu-isoe-west-1.cloud.adc-e.uk"},
        {"eusc-de-east-1", "https://sts.eusc-de-east-1.amazonaws.eu"},
    };
    for (const auto& [region, address] : regions) {
        CHECK(sts_address(environment_of({}), region) == address);
        // The legacy global address is not used, even if it is configured.
        CHECK(sts_address(environment_of({{"AWS_STS_REGIONAL_ENDPOINTS", "legacy"}}), region) == address);
    }
    variables env{{"AWS_ENDPOINT_URL", "https://all.example"}};
    CHECK(sts_address(environment_of(env), "cn-north-1") == "https://all.example");
    env["AWS_ENDPOINT_URL_STS"] = "https://sts.example";
    CHECK(sts_address(environment_of(env), "cn-north-1") == "https://sts.example");
}

TEST_CASE("the region for STS is the role's, the environment's or the volume's", "[s3][credentials]") {
    variables env{{"AWS_REGION", "first"}, {"AWS_DEFAULT_REGION", "second"}};
    CHECK(sts_region(environment_of(env), "role", "volume") == "role");
    CHECK(sts_region(environment_of(env), "", "volume") == "first");
    env.erase("AWS_REGION");
    CHECK(sts_region(environment_of(env), "", "volume") == "second");
    env.erase("AWS_DEFAULT_REGION");
    CHECK(sts_region(environment_of(env), "", "volume") == "volume");
    CHECK(sts_region(environment_of(env), "", "") == "us-east-1");
}

TEST_CASE("a command that closes its output and does not end is killed at the deadline", "[s3][credentials]") {
    const temp_dir dir;
    const auto pid_file = dir.path() / "pid";
    const auto began = steady_clock::now();
    const auto stayed = run_process("sleep 30 >&- & echo $! > " + pid_file.string() + "; exec >&-; sleep 30", 1000,
                                    deadline::in(milliseconds(2000)));  // A shell has time to begin.
    REQUIRE_FALSE(stayed.has_value());
    CHECK(stayed.error() == errc::timeout);
    CHECK(steady_clock::now() - began < seconds(10));
    // With its child processes, which only init can reap.
    pid_t child = 0;
    std::ifstream(pid_file) >> child;
    REQUIRE(child > 0);
    const auto gone = [child] {
        std::string text;
        std::getline(std::ifstream("/proc/" + std::to_string(child) + "/stat"), text);
        return text.empty() || text.find(") Z") != std::string::npos;
    };
    const auto limit = steady_clock::now() + seconds(10);
    while (!gone() && steady_clock::now() < limit) std::this_thread::yield();
    CHECK(gone());

    const auto failed = run_process("echo x; exec >&-; sleep 0.05; exit 3", 1000, deadline::in(seconds(20)));
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error().text.find("status 3") != std::string::npos);
    CHECK(run_process("echo x; exec >&-; sleep 0.05", 1000, deadline::in(seconds(20))) == std::string("x\n"));
}
