#include "tests/cluster_config/sample_config.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <variant>

using namespace keepstore::cluster_config;
using namespace keepstore::test;
using namespace std::chrono_literals;

TEST_CASE("Directory parameters", "[daemon][config]") {
    const auto parameters = [](const std::string& inside) {
        return first_volume(
                   load(sample_config(collections(), volume("Driver: Directory, DriverParameters: {" + inside + "}"))))
            .parameters;
    };
    const auto problem = [&](const std::string& inside) {
        const auto p = parameters(inside);
        REQUIRE(std::holds_alternative<driver_problem>(p));
        return std::get<driver_problem>(p).text;
    };
    auto d = std::get<directory_parameters>(parameters("Root: /v"));
    CHECK(d.root == "/v");
    CHECK(d.sync);
    CHECK_FALSE(d.serialize);
    CHECK(d.direct == direct_io::automatic);
    d = std::get<directory_parameters>(parameters("Root: /v, Serialize: true, Sync: off, DirectIO: on"));
    CHECK(d.serialize);
    CHECK_FALSE(d.sync);
    CHECK(d.direct == direct_io::on);
    CHECK(std::get<directory_parameters>(parameters("Root: /v, DirectIO: \"off\"")).direct == direct_io::off);
    CHECK(std::get<directory_parameters>(parameters("Root: /v, DirectIO: auto")).direct == direct_io::automatic);
    CHECK_THAT(problem("Root: v"), Catch::Contains("/c.yml:5: ") && Catch::Contains("expected an absolute path"));
    CHECK_THAT(problem(""), Catch::Contains("Root: missing"));
    CHECK_THAT(problem("Root: /v, DirectIO: maybe"), Catch::Contains("expected auto, on or off"));
    CHECK_THAT(problem("Root: /v, Sync: 1"), Catch::Contains("DriverParameters.Sync"));
}

TEST_CASE("S3 parameters", "[daemon][config]") {
    const auto parameters = [](const std::string& inside) {
        return first_volume(
                   load(sample_config(collections(), volume("Driver: S3, DriverParameters: {" + inside + "}"))))
            .parameters;
    };
    const auto problem = [&](const std::string& inside) {
        const auto p = parameters(inside);
        REQUIRE(std::holds_alternative<driver_problem>(p));
        return std::get<driver_problem>(p).text;
    };
    auto s3 = std::get<s3_parameters>(parameters("Bucket: b, Endpoint: \"http://e\""));
    CHECK(s3.region == "us-east-1");
    CHECK(s3.index_page_size == 1000);
    CHECK(s3.connect_timeout == 1min);
    CHECK(s3.read_timeout == 10min);
    CHECK(s3.race_window == 0s);
    s3 =
        std::get<s3_parameters>(parameters("Bucket: b, Region: r, PrefixLength: 3, RaceWindow: "
                                           "24h, UsePathStyle: true, UnsafeDelete: true"));
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
    CHECK(std::get<s3_parameters>(first_volume(old).parameters).access_key_id == "a");
    CHECK(std::get<s3_parameters>(first_volume(old).parameters).secret_access_key == "s");
    CHECK(warned(old, "AccessKey: old name of AccessKeyID"));
}

TEST_CASE("a driver that is not supported matters only where the volume is served", "[daemon][config]") {
    const std::string azure = "Driver: Azure, DriverParameters: {ContainerName: c}";
    const auto c = load(sample_config(
        collections(),
        "  Volumes: {a: {" + azure + ", AccessViaHosts: {\"http://other:1\": {}}}, b: {" + directory + "}}\n"));
    const auto here = select_volumes(c.cluster, parse_url("http://h:1").value());
    REQUIRE(here);
    CHECK(here->size() == 1);
    CHECK_THAT(select_volumes(c.cluster, parse_url("http://other:1").value()).error(),
               Catch::Contains("Azure volumes are not supported"));
    const auto odd = load(sample_config(collections(), volume("Driver: directory, DriverParameters: {Root: /v}")));
    CHECK_THAT(select_volumes(odd.cluster, url()).error(),
               Catch::Contains("found \"directory\" (no such driver); expected Directory or S3"));
    CHECK(first_volume(load(sample_config(collections(), volume(directory + ", Replication: -3")))).replication == 1);
}
