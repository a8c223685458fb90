#include "reports/probe_report.hpp"
#include "reports/probe_targets.hpp"
#include "tests/cluster_config/sample_config.hpp"
#include "tests/support/run.hpp"
#include "volumes/s3/access.hpp"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

using namespace keepstore;
using outcome = s3::probe_line::outcome;

namespace {

const std::string hosts =
    "  Services: {Keepstore: {InternalURLs: {\"http://keep0.example:25107\": {}, "
    "\"http://keep1.example:25107\": {}}}}\n";

std::string s3_volume(const std::string& uuid, const std::string& bucket, const std::string& more = {}) {
    return "   " + uuid + ": {Driver: S3, DriverParameters: {Endpoint: \"https://s3.example\", Bucket: " + bucket +
           ", AccessKeyID: key-id, SecretAccessKey: the-secret, UsePathStyle: true, ConnectTimeout: 7s}" + more + "}\n";
}

cluster_config::config three_buckets() {
    return test::load(
        test::sample_config(test::collections() + hosts,
                            "  Volumes:\n" + s3_volume("zzzzz-nyw5e-000000000000000", "everywhere") +
                                s3_volume("zzzzz-nyw5e-000000000000001", "other",
                                          ", AccessViaHosts: {\"http://keep1.example:25107\": {}}") +
                                s3_volume("zzzzz-nyw5e-000000000000002", "read", ", ReadOnly: true, Unknown: 1") +
                                "   zzzzz-nyw5e-000000000000003: {Driver: Directory, DriverParameters: {Root: /v}}\n"));
}

const cluster_config::url keep0 = *cluster_config::parse_url("http://keep0.example:25107");

}  // namespace

TEST_CASE("the probe tries the volumes that this host would mount, or those that are named", "[reports][probe]") {
    const auto conf = three_buckets();
    const auto buckets = [&](std::vector<cluster_config::url> services, std::vector<std::string> uuids) {
        const auto got = reports::choose_probe_targets(conf, services, uuids);
        if (!got) return std::vector<std::string>{got.error()};
        std::vector<std::string> out;
        for (const auto& target : *got) out.push_back(target.options.bucket);
        return out;
    };
    using list = std::vector<std::string>;
    CHECK(buckets({keep0}, {}) == list{"everywhere", "read"});
    CHECK(buckets({*cluster_config::parse_url("http://keep1.example:25107")}, {}) ==
          list{"everywhere", "other", "read"});
    CHECK(buckets({keep0}, {"zzzzz-nyw5e-000000000000001"}) == list{"other"});
    CHECK(buckets({}, {"zzzzz-nyw5e-000000000000000"}) == list{"everywhere"});
    CHECK_THAT(buckets({}, {}).front(), Catch::Contains("name volumes with -volume") &&
                                            Catch::Contains("the S3 volumes of the configuration are zzzzz-nyw5e-0"));
    CHECK_THAT(buckets({keep0}, {"nope"}).front(), Catch::StartsWith("there is no volume nope; the S3 volumes"));
    CHECK(buckets({keep0}, {"zzzzz-nyw5e-000000000000003"}).front() ==
          "volume zzzzz-nyw5e-000000000000003 is no S3 volume (Driver: Directory)");
}

TEST_CASE("the probe makes its client of the configuration as the daemon does", "[reports][probe]") {
    const auto conf = three_buckets();
    const auto targets = reports::choose_probe_targets(conf, std::vector{keep0}, {}).value();
    REQUIRE(targets.size() == 2);
    CHECK(targets[0].writes);
    CHECK_FALSE(targets[1].writes);
    CHECK(targets[0].notes.empty());
    REQUIRE(targets[1].notes.size() == 1);
    CHECK_THAT(targets[1].notes[0], Catch::Contains("Unknown"));
    const auto access = volumes::s3::make_access(targets[0].options);
    REQUIRE(access);
    CHECK(access->client.endpoint == "https://s3.example");
    CHECK(access->client.path_style);
    CHECK(access->client.connect_timeout == std::chrono::seconds(7));
    CHECK_FALSE(access->client.tls_insecure);
    const auto named =
        reports::choose_probe_targets(conf, {}, std::vector<std::string>{"zzzzz-nyw5e-000000000000001"}).value();
    REQUIRE(named.front().notes.size() == 1);
    CHECK_THAT(named.front().notes[0], Catch::Contains("does not mount"));
}

TEST_CASE("the probe says where the keys of a volume are", "[reports][probe]") {
    auto conf = three_buckets();
    const auto source_of = [&](const std::string& uuid) {
        const auto target = reports::choose_probe_targets(conf, {}, std::span(&uuid, 1)).value();
        const auto access = volumes::s3::make_access(target.front().options);
        return test::run(access->keys->get(deadline::in(std::chrono::seconds(10)))).value().source;
    };
    CHECK(source_of("zzzzz-nyw5e-000000000000000") == "configuration");
    // As apply_credentials() notes it for a file that has the key instead.
    for (auto& secret : conf.secrets) {
        if (secret.key == "Volumes.zzzzz-nyw5e-000000000000001.SecretAccessKey") secret.origin = "credential /run/key";
    }
    CHECK(source_of("zzzzz-nyw5e-000000000000001") == "credential /run/key");
    CHECK(source_of("zzzzz-nyw5e-000000000000000") == "configuration");
}

TEST_CASE("a service is this host's by its address, even if its port is taken", "[reports][probe]") {
    const auto conf = test::load(test::sample_config(
        test::collections() +
        "  Services: {Keepstore: {InternalURLs: {\"http://here:25107\": {}, \"http://away:25107\": {}, "
        "\"http://name:25107\": {ListenURL: \"http://[::1]:9999\"}}}}\n"));
    std::vector<std::string> tried;
    const cluster_config::bind_probe bind =
        [&](const cluster_config::url& u) -> std::expected<boost::asio::ip::tcp::endpoint, cluster_config::bind_error> {
        tried.push_back(u.host);
        if (u.host == "away:0") return std::unexpected(cluster_config::bind_error{"cannot assign", true});
        return boost::asio::ip::tcp::endpoint();
    };
    const auto found = reports::services_of_this_host(conf.cluster, {}, bind);
    CHECK(tried == std::vector<std::string>{"away:0", "here:0", "[::1]:0"});
    REQUIRE(found.size() == 2);
    CHECK(found[0].host == "here:25107");
    CHECK(found[1].host == "name:25107");
    cluster_config::environment env;
    env.service_internal_url = "http://elsewhere:1";
    const auto given = reports::services_of_this_host(conf.cluster, env, bind);
    REQUIRE(given.size() == 1);
    CHECK(given[0].host == "elsewhere:1");
}

TEST_CASE("the probe's report says which volumes can be used, and nothing secret", "[reports][probe]") {
    const auto conf = three_buckets();
    auto targets = reports::choose_probe_targets(conf, std::vector{keep0}, {}).value();
    std::vector<reports::probe_outcome> all{{.target = targets[0]}, {.target = targets[1]}};
    all[0].lines = {{outcome::ok, "address", "fine"}, {outcome::note, "clock", "late"}};
    all[1].lines = {{outcome::ok, "address", "fine"}, {outcome::failed, "name", "no such \"host\" \xff"}};
    for (auto& one : all) one.ended = true;
    CHECK(reports::probe_heading(all[0].target) ==
          "volume zzzzz-nyw5e-000000000000000: bucket everywhere at https://s3.example, read and write\n");
    CHECK_THAT(reports::probe_heading(all[1].target), Catch::EndsWith("read only: nothing will be written\n"));
    CHECK(reports::probe_summary(all) ==
          "volume zzzzz-nyw5e-000000000000000 can be used\n"
          "volume zzzzz-nyw5e-000000000000002 CANNOT be used: see name\n"
          "not ok: 1 of 2 cannot be used, 1 note to look at\n");
    CHECK_THAT(reports::probe_summary(std::span(all).first(1)), Catch::EndsWith("\nok, 1 note to look at\n"));

    const auto text = reports::probe_json(all);
    const auto json = nlohmann::json::parse(text);
    CHECK(json["ok"] == false);
    CHECK(json["volumes"][0]["ok"] == true);
    CHECK(json["volumes"][0]["steps"][1] == nlohmann::json({{"step", "clock"}, {"result", "note"}, {"text", "late"}}));
    CHECK(json["volumes"][1]["bucket"] == "read");
    CHECK(json["volumes"][1]["writes"] == false);
    CHECK(json["volumes"][1]["steps"][1]["result"] == "failed");
    for (const auto& output : {text, reports::probe_summary(all), reports::probe_heading(all[0].target)}) {
        CHECK_THAT(output, !Catch::Contains("the-secret") && !Catch::Contains("key-id"));
    }
    CHECK(nlohmann::json::parse(reports::probe_json("no file")) ==
          nlohmann::json({{"ok", false}, {"error", "no file"}}));

    all[0].ended = false;
    CHECK_FALSE(all[0].good());
}
