#include "volumes/factory.hpp"
#include "tests/cluster_config/sample_config.hpp"
#include "volumes/azure/driver.hpp"
#include "volumes/directory/directory_volume.hpp"
#include "volumes/directory/driver.hpp"
#include "volumes/s3/driver.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>

using namespace keepstore;
using namespace keepstore::cluster_config;
using namespace keepstore::test;
using namespace std::chrono_literals;

namespace {

local_volume the_volume(const config& c) {
    return {.uuid = c.cluster.volumes.begin()->first, .driver = first_volume(c).driver};
}

/// The error line for the only volume of this configuration.
std::string problem_of(const config& c) {
    const auto planned = volumes::plan_volumes(c.cluster, url());
    return planned ? "no problem" : planned.error();
}

bool parameters_warned(const config& c, const std::string& part) {
    return std::ranges::any_of(volumes::parameter_warnings(c.cluster),
                               [&](const std::string& w) { return w.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("Directory parameters", "[volumes][config]") {
    const auto configured = [](const std::string& inside) {
        return load(sample_config(collections(), volume("Driver: Directory, DriverParameters: {" + inside + "}")));
    };
    const auto parameters = [&](const std::string& inside) {
        const auto c = configured(inside);
        return volumes::directory_options_of(the_volume(c)).value();
    };
    const auto problem = [&](const std::string& inside) { return problem_of(configured(inside)); };
    auto d = parameters("Root: /v");
    CHECK(d.root == "/v");
    CHECK(d.sync);
    CHECK_FALSE(d.serialize);
    CHECK(d.direct == volumes::direct_io::automatic);
    d = parameters("Root: /v, Serialize: true, Sync: off, DirectIO: on");
    CHECK(d.serialize);
    CHECK_FALSE(d.sync);
    CHECK(d.direct == volumes::direct_io::on);
    CHECK(parameters("Root: /v, DirectIO: \"off\"").direct == volumes::direct_io::off);
    CHECK(parameters("Root: /v, DirectIO: auto").direct == volumes::direct_io::automatic);
    CHECK_THAT(problem("Root: v"), Catch::Contains("/c.yml:5: ") && Catch::Contains("expected an absolute path"));
    CHECK_THAT(problem(""), Catch::Contains("Root: missing"));
    CHECK_THAT(problem("Root: /v, DirectIO: maybe"), Catch::Contains("expected auto, on or off"));
    CHECK_THAT(problem("Root: /v, Sync: 1"), Catch::Contains("DriverParameters.Sync"));
}

TEST_CASE("S3 parameters", "[volumes][config]") {
    const auto configured = [](const std::string& inside) {
        return load(sample_config(collections(), volume("Driver: S3, DriverParameters: {" + inside + "}")));
    };
    const auto parameters = [&](const std::string& inside) {
        const auto c = configured(inside);
        return volumes::s3_options_of(the_volume(c), c.cluster.collections).value();
    };
    const auto problem = [&](const std::string& inside) { return problem_of(configured(inside)); };
    auto s3 = parameters("Bucket: b, Endpoint: \"http://e\"");
    CHECK(s3.region == "us-east-1");
    CHECK(s3.index_page_size == 1000);
    CHECK(s3.connect_timeout == 1min);
    CHECK(s3.read_timeout == 10min);
    CHECK(s3.race_window == 0s);
    s3 = parameters(
        "Bucket: b, Region: r, PrefixLength: 3, RaceWindow: "
        "24h, UsePathStyle: true, UnsafeDelete: true");
    CHECK(s3.prefix_length == 3);
    CHECK(s3.race_window == 24h);
    CHECK(s3.use_path_style);
    CHECK(s3.unsafe_delete);
    CHECK_THAT(problem("Region: r"), Catch::Contains("Bucket: missing"));
    CHECK_THAT(problem("Bucket: b"), Catch::Contains("expected at least one of them"));
    CHECK_THAT(problem("Bucket: b, Region: r, V2Signature: true"), Catch::Contains("V2Signature is not supported"));
    CHECK_THAT(problem("Bucket: b, Region: r, RaceWindow: -1s"), Catch::Contains("expected 0 or more"));
    CHECK_THAT(problem("Bucket: b, Region: r, AccessKey: a, SecretAccessKey: s3cr3t"),
               Catch::Contains("only the new names"));
    CHECK_THAT(problem("Bucket: b, Region: r, AccessKeyID: a"), Catch::Contains("SecretAccessKey: missing"));

    const auto old = load(sample_config(
        collections(), volume("Driver: S3, DriverParameters: {Bucket: b, Region: r, AccessKey: a, SecretKey: s}")));
    const auto from_old = volumes::s3_options_of(the_volume(old), old.cluster.collections).value();
    CHECK(from_old.access_key_id == "a");
    CHECK(from_old.secret_access_key.reveal() == "s");
    CHECK(parameters_warned(old, "AccessKey: old name of AccessKeyID"));
}

TEST_CASE("Azure parameters", "[volumes][config]") {
    const auto configured = [](const std::string& inside) {
        return load(sample_config(collections(), volume("Driver: Azure, DriverParameters: {" + inside + "}")));
    };
    const auto parameters = [&](const std::string& inside) {
        const auto c = configured(inside);
        return volumes::azure_options_of(the_volume(c), c.cluster.collections).value();
    };
    const auto problem = [&](const std::string& inside) { return problem_of(configured(inside)); };
    const std::string place = "StorageAccountName: a, ContainerName: c";
    const std::string usual = place + ", StorageAccountKey: c2VjcmV0";
    auto o = parameters(usual);
    CHECK(o.account == "a");
    CHECK(o.container == "c");
    CHECK(o.account_key.reveal() == "c2VjcmV0");
    CHECK(o.base_url == "core.windows.net");
    CHECK(o.endpoint.empty());
    CHECK(o.request_timeout == 10min);
    CHECK(o.list_retry_delay == 10s);
    CHECK(o.list_attempts_max == 12);
    CHECK(o.write_race_interval == 15s);
    CHECK(o.write_race_poll_time == 1s);
    o = parameters(usual +
                   ", StorageBaseURL: core.chinacloudapi.cn, Endpoint: \"http://e/a\", RequestTimeout: 20s, "
                   "ListBlobsRetryDelay: 1s, ListBlobsMaxAttempts: 3, MaxGetBytes: 1000, WriteRaceInterval: "
                   "0s, WriteRacePollTime: 2s");
    CHECK(o.base_url == "core.chinacloudapi.cn");
    CHECK(o.endpoint == "http://e/a");
    CHECK(o.request_timeout == 20s);
    CHECK(o.list_retry_delay == 1s);
    CHECK(o.list_attempts_max == 3);
    CHECK(o.write_race_interval == 0s);
    CHECK(o.write_race_poll_time == 2s);
    CHECK(parameters(usual + ", RequestTimeout: 0s, ListBlobsMaxAttempts: 0").request_timeout == 10min);
    CHECK(parameters(place + ", SharedAccessSignature: \"sv=1&sig=x\"").shared_access_signature.reveal() ==
          "sv=1&sig=x");
    CHECK(parameters(place + ", ManagedIdentity: default").identity_client_id.empty());
    CHECK(parameters(place + ", ManagedIdentity: id").identity_client_id == "id");
    CHECK_THAT(problem("ContainerName: c, StorageAccountKey: c2VjcmV0"),
               Catch::Contains("StorageAccountName: missing"));
    CHECK_THAT(problem("StorageAccountName: a, StorageAccountKey: c2VjcmV0"),
               Catch::Contains("ContainerName: missing"));
    CHECK_THAT(problem(place), Catch::Contains("StorageAccountKey: missing"));
    CHECK_THAT(problem(usual + ", ManagedIdentity: default"), Catch::Contains("expected one of"));
    CHECK_THAT(problem(usual + ", WriteRaceInterval: -1s"), Catch::Contains("expected 0 or more"));
    CHECK_THAT(problem(usual + ", MaxGetBytes: -1"), Catch::Contains("expected 0 or more"));
}

TEST_CASE("an unknown driver matters only where the volume is served", "[volumes][config]") {
    const std::string odd = "Driver: Tape, DriverParameters: {ContainerName: c}";
    const auto c = load(sample_config(
        collections(),
        "  Volumes: {a: {" + odd + ", AccessViaHosts: {\"http://other:1\": {}}}, b: {" + directory + "}}\n"));
    const auto here = volumes::plan_volumes(c.cluster, parse_url("http://h:1").value());
    REQUIRE(here);
    CHECK(here->size() == 1);
    CHECK_THAT(volumes::plan_volumes(c.cluster, parse_url("http://other:1").value()).error(),
               Catch::Contains("found \"Tape\" (no such driver); expected Directory or S3 or Azure"));
    CHECK(first_volume(load(sample_config(collections(), volume(directory + ", Replication: -3")))).replication == 1);
}

TEST_CASE("unknown parameters warn, misspelt ones are dropped with a hint", "[volumes][config]") {
    const auto c =
        load(sample_config(collections(), volume("Driver: S3, DriverParameters: {bucket: b, Region: r, IAMRole: x}")));
    CHECK(parameters_warned(c,
                            "Volumes.zzzzz-nyw5e-000000000000000.DriverParameters.bucket (perhaps you meant Bucket?)"));
    CHECK(parameters_warned(c,
                            "deprecated or unknown config entry: Clusters.zzzzz.Volumes.zzzzz-nyw5e-000000000000000."
                            "DriverParameters.IAMRole"));
    CHECK_THAT(problem_of(c), Catch::Contains("DriverParameters.Bucket: missing"));
}

TEST_CASE("parameters of another driver are known, whatever their type", "[volumes][config]") {
    for (const auto* volume_text :
         {"Driver: Directory, DriverParameters: {Root: /v, Bucket: 5, ContainerName: [x], IndexPageSize: many}",
          "Driver: Azure, DriverParameters: {ContainerName: c, Root: 7, MaxGetBytes: 1}"}) {
        INFO(volume_text);
        const auto c = load(sample_config(collections(), volume(volume_text)));
        CHECK_FALSE(parameters_warned(c, "unknown"));
    }
    const auto c = load(sample_config(collections(), volume("Driver: Azure, DriverParameters: {Root: /v, root: 7}")));
    CHECK(parameters_warned(c, "DriverParameters.root (perhaps you meant Root?)"));
}

TEST_CASE("both example configurations have right parameters", "[volumes][config]") {
    for (const std::string name : {"keepstore.minimal.yml", "keepstore.full.yml"}) {
        std::istringstream none;
        const auto c = load_config(std::string(KEEPSTORE_CONF_DIR "/") + name, {}, none);
        REQUIRE(c);
        CHECK(volumes::parameter_warnings(c->cluster).empty());
        for (const auto& [service, instance] : c->cluster.internal_urls) {
            const auto planned = volumes::plan_volumes(c->cluster, service);
            INFO(name << ": " << (planned ? std::string() : planned.error()));
            CHECK(planned);
        }
    }
}
